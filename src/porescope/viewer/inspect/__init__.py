"""Looking: sections, differences, worst places, surfaces, figures."""

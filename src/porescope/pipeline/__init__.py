"""Steps, recipes and jobs: the same work with and without a screen."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "jobs": ["Job"],
        "recipe": ["Recipe", "read_recipe"],
        "run": ["run_recipe", "run_step"],
        "step": ["Parameters", "Step", "find_step", "steps"],
        "workspace": ["Workspace"],
    },
)

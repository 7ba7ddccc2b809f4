"""From a stack without labels to networks that know it, and to its segmentation."""

from porescope.pipeline.own_stack.loop import train_on_own_stack
from porescope.pipeline.own_stack.parameters import OwnStackTraining

__all__ = ["OwnStackTraining", "train_on_own_stack"]

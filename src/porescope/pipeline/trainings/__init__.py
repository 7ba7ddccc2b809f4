"""What can be trained, each with its own parameters, for the command line and the window."""

from porescope.pipeline.trainings.training import Training, find_training, training, trainings

__all__ = ["Training", "find_training", "training", "trainings"]

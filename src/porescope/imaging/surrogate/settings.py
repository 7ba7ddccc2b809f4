"""How a neural simulator is built and taught, and what it may be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from porescope.imaging.surrogate.layouts import Layout, shown_channels
from porescope.learn.parameters import TrainingParameters

if TYPE_CHECKING:
    from porescope.imaging.surrogate.networks import Network

NetworkName = Literal["compact", "resnet34", "resnet50", "resnet101", "resnet152"]


class SurrogateTraining(TrainingParameters):
    """What a neural simulator looks at, and how it learns."""

    network: NetworkName = Field("compact", description="which network")
    layout: Layout = Field("normal+ehf", description="what it is shown of the heightfield")
    layers: int = Field(
        2, ge=1, le=8, description="stretches of solid below a pixel that it is shown"
    )
    length_nm: float = Field(
        100.0, gt=0, description="length in nm that depths are scaled by; as deep is shown as 1/2"
    )
    loss: Literal["l1", "l2"] = Field(
        "l2",
        description="mean absolute or mean square difference; noisy images need l2, whose best "
        "answer is their mean",
    )
    pretrained: str | None = Field(
        None, description="file of a ResNet's weights (.safetensors, names as in torchvision)"
    )
    epochs: int = Field(60, gt=0, description="at most so many times through the data")
    batch_size: int = Field(8, gt=0, description="images that are learned from at once")
    learning_rate: float = Field(2e-3, gt=0, description="of the steps, at the beginning")


class Settings(BaseModel):
    """How a surrogate is built and what it may be asked; on the card of its weights.

    Parameters
    ----------
    network : str
    layout : str
        What it is shown, see :data:`~porescope.imaging.surrogate.layouts.LAYOUTS`.
    layers : int
        Stretches of solid that it is shown.
    length_nm : float
        That depths are scaled by: one as deep becomes 1/2, the plane 1, nothing 0.
    pixel_nm : float
        Size of its pixels.
    beams_kv : list of float
        Voltages that it knows.
    materials : str
        That it knows, by label: ``"0=vacuum, 1=carbon"``.
    signals : list of str
        What it tells.
    typical : list of float
        Mean of each signal in training, the unit in which the network answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NetworkName
    layout: Layout
    layers: int = Field(ge=1, le=8)
    length_nm: float = Field(gt=0)
    pixel_nm: float = Field(gt=0)
    beams_kv: list[float] = Field(min_length=1)
    materials: str
    signals: list[str] = Field(min_length=1)
    typical: list[float] = Field(min_length=1)

    def make_network(self) -> Network:
        """Return the network with random weights."""
        from porescope.imaging.surrogate.networks import make_network

        channels = len(shown_channels(self.layout, self.layers))
        return make_network(self.network, channels, len(self.signals))

"""The network's configuration: frozen dataclasses read from config/models/*.yaml; an unknown key is an error."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

Config = TypeVar("Config")


class ConfigError(ValueError):
    """A configuration file that does not say what is expected."""


@dataclass(frozen=True)
class TransformerConfig:
    """Pose transformer (paper, section III-D): 16 blocks of width 128, 8 heads, MLP ratio 2, stochastic depth 0.1."""

    depth: int = 16
    width: int = 128
    heads: int = 8
    mlp_ratio: float = 2.0
    drop_path: float = 0.1
    refine: str = "body"
    """'all' joints, or 'body': end-effectors stay as triangulated, as the authors do."""
    relative: bool = True
    """Joints are fed relative to the pelvis; False: as they stand before the camera (an ablation)."""
    informed: bool = False
    """Inside the whole network a joint's token knows its covariance (edge; the paper's tokens know positions alone)."""

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % self.heads:
            raise ConfigError(f"transformer.width {self.width} is no multiple of its {self.heads} heads; expected one")


@dataclass(frozen=True)
class ModelConfig:
    """One network. Disparities are in feature cells (crop pixels / 4), both ends included."""

    name: str
    image_size: int
    backbone: str
    """resnet50, resnet152 (paper, section III-B) or blazepose (edge)."""
    regressor: str
    """v2v: the paper's 3D encoder-decoder; folded: disparities as channels of a 2D one (edge)."""
    volume_channels: int = 16
    """C: channels of each view in the stereo volume."""
    disparity_min: int = -7
    disparity_max: int = 8
    attention_mask: bool = True
    normalise_mask: bool = False
    """Scale the mask to a peak of 1, which keeps the range of the masked features (edge, for INT8)."""
    second_look: bool = False
    """Correct each co-keypoint by comparing both views around it at stride 2 (edge; not in the paper)."""
    transformer: TransformerConfig = field(default_factory=TransformerConfig)

    def __post_init__(self) -> None:
        if self.image_size % 32:
            raise ConfigError(f"image_size is {self.image_size}; expected a multiple of 32")
        if self.disparity_min > self.disparity_max:
            raise ConfigError(f"disparity range {self.disparity_min}…{self.disparity_max} is empty")
        if self.backbone not in ("resnet50", "resnet152", "blazepose"):
            raise ConfigError(f"backbone {self.backbone!r} is unknown; expected resnet50, resnet152 or blazepose")
        if self.second_look and self.backbone != "blazepose":
            raise ConfigError(f"second_look needs the stride-2 features of blazepose; found backbone {self.backbone!r}")
        if self.regressor not in ("v2v", "folded"):
            raise ConfigError(f"regressor {self.regressor!r} is unknown; expected v2v or folded")
        if self.transformer.refine not in ("all", "body"):
            raise ConfigError(f"transformer.refine {self.transformer.refine!r} is unknown; expected all or body")

    @property
    def disparities(self) -> range:
        """Integer disparities of the volume, feature cells."""
        return range(self.disparity_min, self.disparity_max + 1)

    @property
    def volume_stride(self) -> int:
        """Crop pixels per cell of the stereo volume across the picture; along disparity it is a feature cell always."""
        return 8 if self.regressor == "folded" else 4

    @classmethod
    def from_yaml(cls, path: str | Path) -> ModelConfig:
        """Read config/models/<name>.yaml. Raises ConfigError naming the file and the key."""
        try:
            content = yaml.safe_load(Path(path).read_text())
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a model configuration") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: is not valid YAML ({error})") from error
        return build(cls, content, str(path))

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, for checkpoints and model cards."""
        return asdict(self)


def build(cls: type[Config], content: Any, where: str) -> Config:
    """A configuration dataclass from a mapping; unknown and missing keys raise ConfigError naming `where`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: found {type(content).__name__}, expected a mapping")
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(content) - known)
    if unknown:
        raise ConfigError(f"{where}: unknown key {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}")
    hints = get_type_hints(cls)
    values = {
        key: build(hints[key], value, f"{where}: {key}") if is_dataclass(hints[key]) else value
        for key, value in content.items()
    }
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error

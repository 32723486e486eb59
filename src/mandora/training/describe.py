"""The layers of a network and their cost, without training it.

The cost is the number of multiplications with addition (MAC) of convolutions, transposed
convolutions and dense layers. Torch's "meta" tensors are used, which have a shape but no content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mandora.core.anatomy import FAMILIES, LANDMARKS, N_LANDMARKS, SITES, SLOTS, Damage, Limb, Side
from mandora.core.errors import InputError
from mandora.core.settings import DamageSettings, LocateSettings
from mandora.damage.network import DamageNet, build_damage_net
from mandora.locate.network import build_locate_net

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer, in the order in which the network uses it.

    Attributes:
        name: path in the network, e.g. ``encoder.0.3``.
        kind: class of the layer, e.g. ``Conv2d``.
        output: shape of what it gives, for one item.
        parameters: trained numbers.
        mac: multiplications with addition for one item.
    """

    name: str
    kind: str
    output: Shape
    parameters: int
    mac: int


@dataclass(frozen=True)
class Description:
    """A network, and how many such networks a model has.

    Attributes:
        title: name of the network.
        layers: all layers with parameters, and poolings.
        inputs: shapes by name, for one item.
        outputs: likewise.
        networks: number of networks of this kind in a model.
        passes: number of passes through them for the four films of a patient.
    """

    title: str
    layers: tuple[Layer, ...]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    networks: int
    passes: int

    @property
    def parameters(self) -> int:
        """Trained numbers of one network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def gmac(self) -> float:
        """Multiplications with addition for one item, 10⁹."""
        return sum(layer.mac for layer in self.layers) / 1e9

    @property
    def patient_tmac(self) -> float:
        """Multiplications with addition for one patient, 10¹²."""
        return self.gmac * self.passes / 1e3

    def to_json(self) -> dict[str, Any]:
        """The description in types of JSON."""
        return {
            "title": self.title,
            "parameters": self.parameters,
            "gmac": self.gmac,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "outputs": {name: list(shape) for name, shape in self.outputs.items()},
            "networks": self.networks,
            "passes_per_patient": self.passes,
            "tmac_per_patient": self.patient_tmac,
            "layers": [{**asdict(layer), "output": list(layer.output)} for layer in self.layers],
        }

    def table(self) -> str:
        """Plain text: one line per layer, then the sums."""
        rows = [("layer", "type", "output", "parameters", "MMAC")]
        rows += [
            (a.name, a.kind, _shape(a.output), f"{a.parameters:,}", f"{a.mac / 1e6:,.1f}")
            for a in self.layers
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join(
                cell.rjust(width) if i > 2 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        shapes = [
            f"{title}: " + ", ".join(f"{name} {_shape(shape)}" for name, shape in named.items())
            for title, named in (("in", self.inputs), ("out", self.outputs))
        ]
        sums = [
            f"{self.parameters / 1e6:.2f} M parameters, {self.gmac:.3g} GMAC",
            f"{_many(self.networks, 'such network')}; "
            f"{_many(self.passes, 'pass')} and {_cost(self.patient_tmac)} per patient",
        ]
        return "\n".join([self.title, *shapes, "", *lines, "", *sums])


def describe_network(
    kind: Literal["locate", "damage"],
    settings: LocateSettings | DamageSettings,
    limb: Limb = Limb.HAND,
    family: tuple[Limb, Damage] | None = None,
) -> Description:
    """Describe a network of a stage.

    Args:
        kind: ``locate`` or ``damage``.
        settings: of that stage's network.
        limb: of a localiser; a network of one landmark is the same in both.
        family: of a damage network of one family; hand narrowing if None. Families differ only in
            their maximum.

    Raises:
        ValueError: if the settings are not those of the stage.
    """
    if kind == "locate" and isinstance(settings, LocateSettings):
        return _locate(settings, limb)
    if kind == "damage" and isinstance(settings, DamageSettings):
        return _damage(settings, family)
    raise InputError(f"{type(settings).__name__} are not the settings of a {kind} network")


def _locate(settings: LocateSettings, limb: Limb) -> Description:
    inputs = {"film": (settings.channels, settings.input_px, settings.input_px)}
    with torch.device("meta"):
        network = build_locate_net(limb, settings)
        layers, outputs = _run(network, [torch.empty(1, *inputs["film"])])
    one_point = settings.design == "one-landmark"
    # at least one pass per film; more if the orientation of the limb is searched for
    films = sum(slot.limb is limb for slot in SLOTS)
    return Description(
        title="localiser of one landmark"
        if one_point
        else f"localiser of a {limb}'s {len(LANDMARKS[limb])} landmarks, one pass per film",
        layers=layers,
        inputs=inputs,
        outputs=dict(zip(("heat_map_logits",), outputs, strict=True)),
        networks=(N_LANDMARKS if one_point else 1) * settings.seeds,
        passes=(N_LANDMARKS * len(Side) if one_point else films) * settings.seeds,
    )


def _damage(settings: DamageSettings, family: tuple[Limb, Damage] | None) -> Description:
    one_family = settings.design == "family"
    if one_family and family is None:
        family = (Limb.HAND, Damage.NARROWING)
    inputs: dict[str, Shape] = {
        "patches": (settings.channels, settings.patch_px, settings.patch_px)
    }
    with torch.device("meta"):
        network = build_damage_net(settings, family)
        given = [torch.empty(1, *inputs["patches"])]
        if isinstance(network, DamageNet):
            inputs["points"] = ()
            given.append(torch.zeros(1, dtype=torch.int64))
        layers, outputs = _run(network, given)
    return Description(
        title=f"damage network of {' '.join(family)}" if family else "damage network of all joints",
        layers=layers,
        inputs=inputs,
        outputs=dict(zip(("mask_logits", "scores"), outputs[:2], strict=True)),
        networks=len(FAMILIES) if one_family else 1,
        passes=(len(SITES) if one_family else N_LANDMARKS) * len(Side),
    )


def _run(network: nn.Module, given: list[Tensor]) -> tuple[tuple[Layer, ...], list[Shape]]:
    """The layers that a pass uses, and the shapes of the outputs, for one item."""
    layers: list[Layer] = []
    hooks = [
        module.register_forward_hook(_recorder(name, layers))
        for name, module in network.named_modules()
        if not list(module.children())
    ]
    try:
        with torch.no_grad():
            out = network.eval()(*given)
    finally:
        for hook in hooks:
            hook.remove()
    tensors = out if isinstance(out, tuple) else (out,)
    return tuple(layers), [tuple(tensor.shape[1:]) for tensor in tensors]


def _recorder(name: str, layers: list[Layer]) -> Any:
    def record(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        pooling = isinstance(module, nn.MaxPool2d)
        if not parameters and not pooling:
            return
        # a pooling is one layer that is used several times
        used = sum(layer.name.split(" ")[0] == name for layer in layers)
        label = f"{name} {used + 1}" if pooling else name
        shape = tuple(out.shape[1:])
        mac = _mac(module, given[0], out)
        layers.append(Layer(label, type(module).__name__, shape, parameters, mac))

    return record


def _mac(module: nn.Module, given: Tensor, out: Tensor) -> int:
    """MAC of one item: a weight is used once per px of the output, or of a transposed input."""
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * out[0, 0].numel()
    if isinstance(module, nn.ConvTranspose2d):
        return module.weight.numel() * given[0, 0].numel()
    return module.weight.numel() if isinstance(module, nn.Linear) else 0


def _shape(shape: Shape) -> str:
    return " × ".join(map(str, shape)) or "1"


def _cost(tmac: float) -> str:
    return f"{tmac:.3g} TMAC" if tmac >= 0.1 else f"{1e3 * tmac:.3g} GMAC"


def _many(count: int, word: str) -> str:
    plural = word + ("es" if word.endswith("s") else "s")
    return f"{count} {word if count == 1 else plural}"

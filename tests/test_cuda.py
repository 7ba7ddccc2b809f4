"""Work on a GPU: the kernels compile, and what they and their callers do is the CPU's.

Where there is no GPU the kernels run all the same, 32 threads in step on the processor
(warp_on_cpu.hpp), behind stand-ins for PyCUDA and PyTorch's memory.
"""

import ctypes
import logging
import re
import shutil
import struct
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives, boolean_model
from porescope.imaging import (
    Detector,
    device,
    electron_sample,
    extract_heightfield,
    gpu,
    montecarlo,
    simulate_monte_carlo,
)

ROOT = Path(__file__).parents[1]
BOX = (90, 37, 53)  # no whole number of tiles
NVCC = shutil.which("nvcc")
COMPILER = shutil.which("c++") or shutil.which("g++")


def lattice(spacing):
    steps = [np.arange(spacing / 2, size, spacing) for size in BOX]
    return np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)


def touching_spheres():
    centres = lattice(8.0)
    return Primitives(spheres=np.c_[centres, np.full(len(centres), 4.0)], shape=BOX)


def touching_cubes():
    centres = lattice(8.0)
    rows = np.c_[centres, np.tile([1, 0, 0, 0, 8, 8, 8], (len(centres), 1))]
    return Primitives(cuboids=rows[::2], shape=BOX)


def all_kinds():
    spheres = boolean_model("sphere", porosity=0.8, shape=BOX, radius=(3, 8))
    cylinders = boolean_model("cylinder", porosity=0.8, shape=BOX, radius=(2, 5), height=(9, 30))
    cubes = boolean_model("cube", porosity=0.8, shape=BOX, edge=(3, 12))
    straight = [
        [40, 9, 9, 1, 0, 0, 4, 30],
        [60, 20, 20, 0, 1, 0, 5, 33],
        [50, 9, 30, 0, 0, 1, 6, 9],
    ]
    return Primitives(
        spheres=spheres.spheres,
        cylinders=np.concatenate([cylinders.cylinders, straight]),
        cuboids=cubes.cuboids,
        shape=BOX,
    )


SAMPLES = {
    "spheres": lambda: boolean_model("sphere", porosity=0.4, shape=BOX, radius=(3, 9)),
    "few": lambda: Primitives(spheres=[[50, 20, 20, 9.0]], shape=BOX),
    "all kinds": all_kinds,
    "touching spheres": touching_spheres,
    "touching cubes": touching_cubes,
}


@pytest.fixture(autouse=True)
def _fresh():
    caches = (
        device.gpu_hindrance,
        device._tell_once,
        gpu._primary_context,
        gpu._kernel,
        gpu._module,
    )
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.skipif(NVCC is None, reason="there is no nvcc here")
@pytest.mark.parametrize("source", ["heightfield.cu", "montecarlo.cu"])
def test_kernels_compile_without_a_warning(tmp_path, source):
    targets = [
        f"-gencode=arch=compute_{capability},code=sm_{capability}" for capability in (75, 80, 90)
    ]
    command = [NVCC, "-fatbin", *gpu._NVCC_OPTIONS, *targets, "--threads=0"]
    command += ["-Werror=all-warnings", "-o", tmp_path / "kernels.fatbin"]
    command += [ROOT / "cuda" / source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.skipif(NVCC is None, reason="there is no nvcc here")
def test_electrons_are_reckoned_as_ieee_754_says(tmp_path):
    """Each operation rounds by itself, to nearest, and small numbers stay what they are."""
    assembly = tmp_path / "montecarlo.ptx"
    command = [NVCC, "-ptx", *gpu._NVCC_OPTIONS, "-o", assembly, ROOT / "cuda" / "montecarlo.cu"]
    subprocess.run(command, check=True)
    operations = set(re.findall(r"\b([a-z]+(?:\.[a-z0-9]+)*\.f32)\b", assembly.read_text()))
    assert {"add.rn.f32", "mul.rn.f32", "div.rn.f32", "sqrt.rn.f32"} <= operations
    assert not [name for name in operations if re.search("approx|full|ftz|fma|mad", name)]


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Run the kernels on the processor."""
    if not sys.platform.startswith("linux") or COMPILER is None:
        pytest.skip("no C++ compiler with Linux's coroutines")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    command = [COMPILER, "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC"]
    command += ["-I", ROOT / "cuda", "-o", library, ROOT / "tests" / "kernels_on_cpu.cpp"]
    subprocess.run(command, check=True)
    kernels = ctypes.CDLL(str(library))
    heightfield, electrons = kernels.launch_heightfield, kernels.launch_electrons
    heightfield.restype = electrons.restype = ctypes.c_bool
    launch = [ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p]
    heightfield.argtypes = [ctypes.c_int, *launch, ctypes.c_double, *[ctypes.c_void_p] * 3]
    electrons.argtypes = [ctypes.c_char_p, *launch]
    return kernels


class HeightfieldKernel:
    def __init__(self, name, kernels):
        self.layers = int(name.removeprefix("heightfield_"))
        self.launch = kernels.launch_heightfield

    def prepare(self, arguments):
        # The kernel's own: BinsView aligned to 8 bytes, a double, three pointers.
        assert struct.calcsize(arguments) == struct.calcsize("16QdPPP")
        return self

    def prepared_async_call(self, grid, block, stream, view, *others):
        assert stream is None
        assert self.launch(self.layers, grid[0], block[0], view, *others), "a warp diverged"


class ElectronKernel:
    def __init__(self, name, kernels):
        self.name = name.encode()
        self.launch = kernels.launch_electrons
        self.size = 416 if name == "first_collisions" else 528 if "voxels" in name else 576

    def prepare(self, arguments):
        # One struct that the compiler has found to be so large.
        assert arguments == f"{self.size}s"
        return self

    def prepared_async_call(self, grid, block, stream, task):
        assert stream is None
        assert self.launch(self.name, grid[0], block[0], task), "a warp diverged"


@pytest.fixture
def pycuda(monkeypatch):
    """Put in place of PyCUDA and of PyTorch's CUDA what there is without a GPU."""
    driver, compiler = ModuleType("pycuda.driver"), ModuleType("pycuda.compiler")
    driver.pushed = 0

    class Device:
        def __init__(self, index):
            assert index == 0

        count = staticmethod(lambda: 1)

        def retain_primary_context(self):
            return SimpleNamespace(push=lambda: change(1), pop=lambda: change(-1))

    def change(by):
        driver.pushed += by

    driver.Device, driver.init = Device, lambda: None
    driver.Error = type("Error", (Exception,), {})
    driver.CompileError = type("CompileError", (driver.Error,), {})
    package = ModuleType("pycuda")
    package.driver, package.compiler = driver, compiler
    for module in (package, driver, compiler):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    stream = object()
    for name, value in {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "current_stream": lambda index: stream,
        "default_stream": lambda index: stream,
        "stream": lambda stream: nullcontext(),
        "get_device_properties": lambda index: SimpleNamespace(multi_processor_count=1),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("empty", "tensor", "zeros"):
        real = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *args, device, real=real, **rest: real(*args, **rest)
        )
    monkeypatch.setattr(gpu, "_shipped", lambda name: Path(name))
    return package


@pytest.fixture
def processor_as_gpu(pycuda, launch):
    kinds = {"heightfield.fatbin": HeightfieldKernel, "montecarlo.fatbin": ElectronKernel}
    pycuda.driver.module_from_file = lambda path: SimpleNamespace(
        get_function=lambda name: kinds[path](name, launch)
    )
    return pycuda


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("layers", [1, 2, 3, 8])
def test_kernels_give_the_bits_of_the_cpu(processor_as_gpu, name, layers):
    sample = SAMPLES[name]()
    rows, columns = BOX[1:]
    for plane_z in (0.0, 30.3, 48.0):
        found = extract_heightfield(sample, plane_z, layers=layers, device="cuda")
        bins = _core.Bins(sample.spheres, sample.cylinders, sample.cuboids, rows, columns)
        expected = bins.heightfield(plane_z, layers, instruction_set="plain")
        for ours, theirs in zip((found.entry, found.exit, found.normal), expected, strict=True):
            assert ours.dtype == torch.float32
            np.testing.assert_array_equal(ours.numpy(), theirs)
    assert processor_as_gpu.driver.pushed == 0


def test_primitives_go_to_the_gpu_once(processor_as_gpu, monkeypatch):
    uploads = []

    def arrays(bins, real=_core.device_arrays):
        uploads.append(bins)
        return real(bins)

    monkeypatch.setattr(_core, "device_arrays", arrays)
    sample = SAMPLES["spheres"]()
    planes = [extract_heightfield(sample, z, device="cuda").entry for z in (10, 20)]
    assert len(uploads) == 1
    assert not torch.equal(*planes)
    narrower = extract_heightfield(sample, 20, shape=(20, 30), device="cuda").entry
    assert len(uploads) == 2
    assert torch.equal(narrower, planes[1][:, :20, :30])
    extract_heightfield(SAMPLES["few"](), 20, device="cuda")
    assert len(uploads) == 3


def test_full_memory_is_told(processor_as_gpu, monkeypatch):
    def full(*args, **rest):
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(PorescopeError, match=r"memory of the GPU does not suffice .* 37 x 53"):
        extract_heightfield(SAMPLES["few"](), 20, device="cuda")


def test_kernels_of_another_gpu_are_told(pycuda):
    def refuse(path):
        raise pycuda.driver.Error("no kernel image")

    pycuda.driver.module_from_file = refuse
    with pytest.raises(PorescopeError, match=r"do not run on this GPU \(no kernel image\)"):
        extract_heightfield(SAMPLES["few"](), 20, device="cuda")
    assert pycuda.driver.pushed == 0


def test_source_is_compiled_where_there_is_no_fatbin(processor_as_gpu, monkeypatch):
    source = ROOT / "cuda" / "heightfield.cu"
    monkeypatch.setattr(gpu, "_shipped", lambda name: source if name.endswith(".cu") else None)
    kernels = processor_as_gpu.driver.module_from_file("heightfield.fatbin")
    processor_as_gpu.driver.module_from_buffer = lambda cubin: kernels
    compiled = []

    def compile_(text, options, no_extern_c, include_dirs):
        assert text == source.read_text()
        assert no_extern_c
        assert include_dirs == [str(source.parent)]
        assert "-fmad=false" in options
        compiled.append(text)
        return b"cubin"

    processor_as_gpu.compiler.compile = compile_
    sample = SAMPLES["few"]()
    for plane_z in (10, 20):
        extract_heightfield(sample, plane_z, device="cuda")
    assert len(compiled) == 1


def test_missing_nvcc_is_told(pycuda, monkeypatch):
    source = ROOT / "cuda" / "heightfield.cu"
    monkeypatch.setattr(gpu, "_shipped", lambda name: source if name.endswith(".cu") else None)

    def fail(*args, **rest):
        raise OSError("nvcc was not found (is it on the PATH?)")

    pycuda.compiler.compile = fail
    with pytest.raises(PorescopeError, match=r"nvcc was not found.*; install the CUDA toolkit or"):
        extract_heightfield(SAMPLES["few"](), 20, device="cuda")


def test_without_pycuda_the_cpu_works_and_tells_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    sample = SAMPLES["few"]()
    with pytest.raises(PorescopeError, match=r"no GPU to work on: PyCUDA is not installed"):
        extract_heightfield(sample, 20, device="cuda")
    with caplog.at_level(logging.INFO, logger="porescope"):
        for _ in range(2):
            field = extract_heightfield(sample, 20, device="auto")
    assert isinstance(field.entry, np.ndarray)
    assert [record.getMessage() for record in caplog.records] == [
        "Working on the processor: PyCUDA is not installed (pip install napari-porescope[cuda])."
    ]


def test_pytorch_without_cuda_is_no_gpu(pycuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PorescopeError, match=r"no GPU to work on: this PyTorch has no CUDA"):
        extract_heightfield(SAMPLES["few"](), 20, device="cuda")
    assert isinstance(extract_heightfield(SAMPLES["few"](), 20).entry, np.ndarray)


GOLD_IN = {"epoxy": {0: "epoxy", 1: "gold"}, "vacuum": {0: "vacuum", 1: "gold"}}


def grains():
    """Return blobs of a few voxels."""
    coarse = np.random.default_rng(0).integers(0, 2, (10, 6, 7))
    return coarse.repeat(4, 0).repeat(3, 1).repeat(3, 2).astype(np.uint8)


def bodies():
    """Return a sphere, a cylinder and a cuboid that overlap, in a box of 30 x 18 x 21."""
    return Primitives(
        spheres=[[8, 6, 6, 5.0], [20, 12, 15, 7.0]],
        cylinders=[[10, 9, 14, 0.6, 0.8, 0, 3, 30]],
        cuboids=[[25, 9, 9, 0.96, 0.28, 0, 0, 8, 14, 12]],
        shape=(30, 18, 21),
    )


def images(sample, device, **changes):
    options = {
        "beam_kv": 2.0, "electrons": 20, "pixel_nm": 2.5, "seed": 5, "materials": GOLD_IN["vacuum"],
        "detectors": ["EsB", Detector("left", azimuth_deg=(-90, 90))],
    }  # fmt: skip
    return simulate_monte_carlo(sample, 1.5, device=device, **options | changes)


def assert_same_bits(sample, **changes):
    ours, theirs = (images(sample, device, **changes) for device in ("cuda", "cpu"))
    assert ours.keys() == theirs.keys()
    for name, image in theirs.items():
        assert ours[name].dtype == np.float32
        np.testing.assert_array_equal(ours[name], image, err_msg=name)
    return ours


ELECTRONS = {
    "voxels in epoxy": (grains, {"materials": GOLD_IN["epoxy"]}),
    "voxels in vacuum": (grains, {}),
    "voxels without secondaries": (grains, {"secondaries": False}),
    "tilt and probe": (grains, {"tilt_deg": 38.0, "probe_nm": 6.0}),
    "periodic sides": (grains, {"periodic": True, "tilt_deg": 60.0, "beam_kv": 4.0}),
    "one history a pixel": (grains, {"electrons": 1, "detectors": []}),
    "primitives in vacuum": (bodies, {}),
    "primitives in epoxy": (bodies, {"materials": GOLD_IN["epoxy"], "tilt_deg": 38.0}),
    "primitives without secondaries": (bodies, {"secondaries": False}),
}


@pytest.mark.parametrize("name", ELECTRONS)
def test_electrons_come_back_as_on_the_cpu(processor_as_gpu, name):
    make, changes = ELECTRONS[name]
    found = assert_same_bits(make(), **changes)
    assert found["bse"].any()
    assert found["se"].any() == changes.get("secondaries", True)
    assert processor_as_gpu.driver.pushed == 0


def test_portions_of_an_image_are_its_rows(processor_as_gpu, monkeypatch):
    whole = images(grains(), "cuda")
    monkeypatch.setattr(montecarlo, "_ELECTRONS_AT_ONCE_ON_A_GPU", 1000)
    done = []
    parts = images(grains(), "cuda", progress=lambda *at: done.append(at))
    assert len(done) > 5
    for name, image in whole.items():
        np.testing.assert_array_equal(parts[name], image)


def test_samples_of_electrons_go_to_the_gpu_once(processor_as_gpu, monkeypatch):
    uploads = []

    def arrays(of, real=_core.device_arrays):
        uploads.append(of)
        return real(of)

    monkeypatch.setattr(_core, "device_arrays", arrays)
    sample = electron_sample(grains(), 2.5, GOLD_IN["vacuum"])
    for beam_kv in (1.0, 2.0):
        images(sample, "cuda", beam_kv=beam_kv)
    assert uploads == [sample.core_materials, sample.geometry]
    images(electron_sample(bodies(), 2.5, GOLD_IN["vacuum"]), "cuda")
    assert len(uploads) == 4


def test_arrays_for_the_gpu_are_not_copied():
    sample = electron_sample(grains(), 2.5, GOLD_IN["vacuum"])
    first, second = (_core.device_arrays(sample.geometry) for _ in range(2))
    assert [array.nbytes for array in first] == [2 * (40 * 18 * 21 + 1), 4 * 40 * 18 * 21]
    for one, other in zip(first, second, strict=True):
        assert np.shares_memory(one, other)
        assert not one.flags.writeable
    words = first[0].view(np.uint16)
    del sample, first, second
    np.testing.assert_array_equal(words[:-1].reshape(40, 18, 21) & 0xFF, grains())


def test_full_memory_for_electrons_is_told(processor_as_gpu, monkeypatch):
    def full(*args, **rest):
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "zeros", full)
    with pytest.raises(PorescopeError, match=r"memory of the GPU .* 40 x 18 x 21 and a plane"):
        images(grains(), "cuda")


def first_collisions(on):
    materials = electron_sample(grains(), 2.5, GOLD_IN["epoxy"]).core_materials
    direction = (0.6, 0.64, 0.48)
    return [on.first_collisions(materials, solid, 3e3, direction, 1000, 7) for solid in (1, 2)]


def test_first_collisions_are_those_of_the_cpu(processor_as_gpu):
    for ours, theirs in zip(first_collisions(gpu), first_collisions(_core), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.fixture
def real_gpu():
    hindrance = device.gpu_hindrance()
    if hindrance is not None:
        pytest.skip(f"there is no GPU here: {hindrance}")


@pytest.mark.parametrize("name", ELECTRONS)
def test_electrons_come_back_from_a_gpu_as_from_the_cpu(real_gpu, name):
    make, changes = ELECTRONS[name]
    assert_same_bits(make(), **changes)


def test_first_collisions_on_a_gpu_are_those_of_the_cpu(real_gpu):
    test_first_collisions_are_those_of_the_cpu(real_gpu)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_gpu_agrees_with_the_cpu(real_gpu, name):
    sample = SAMPLES[name]()
    for plane_z in (0.0, 30.3, 48.0):
        for layers in (1, 2, 8):
            found = extract_heightfield(sample, plane_z, layers=layers, device="cuda")
            expected = extract_heightfield(sample, plane_z, layers=layers, device="cpu")
            for channel in ("entry", "exit", "normal"):
                np.testing.assert_allclose(
                    getattr(found, channel).cpu().numpy(),
                    getattr(expected, channel),
                    rtol=0,
                    atol=1e-4,
                )

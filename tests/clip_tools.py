"""A tiny CLIP model with random weights, where open_clip can be imported."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

NAME = "imgsim-tiny"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16,
        "patch_dropout": 0.5,
    },
    "text_cfg": {"context_length": 8, "vocab_size": 99, "width": 32, "heads": 2, "layers": 1},
}  # fmt: skip


def import_open_clip():
    """Return the package, or skip: a torchvision for another torch raises RuntimeError."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"no PyTorch: {error}")
    try:
        return importlib.import_module("open_clip")
    except (ImportError, OSError) as error:
        pytest.skip(f"no open_clip: {error}")
    except RuntimeError:  # torchvision's operators are for another torch; none is used here
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    register = torch.library.register_fake

    def forgiving(op, *args, **options):
        def decorate(function):
            try:
                return register(op, *args, **options)(function)
            except RuntimeError:
                return function

        return decorate

    torch.library.register_fake = forgiving
    try:
        return importlib.import_module("open_clip")
    except Exception as error:
        pytest.skip(f"no open_clip: {error}")
    finally:
        torch.library.register_fake = register


def save_tiny_model(open_clip, folder):
    """Make the model known by its name; returns the file of its weights."""
    torch = importlib.import_module("torch")
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model(NAME).state_dict(), folder / "tiny.pt")
    return folder / "tiny.pt"

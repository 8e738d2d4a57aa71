"""Checkpoints of other networks, under the names that their libraries give them, and files that are no checkpoints."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.models import foreign
from edgekit.models.checkpoint import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What the message says, and keys as the library's own state dict has them.
NETWORKS: tuple[tuple[str, str], ...] = (
    (
        "this is ResNet-18",
        "conv1.weight bn1.weight layer1.0.conv1.weight layer1.0.conv2.weight layer4.1.conv2.weight fc.weight",
    ),
    ("this is ResNet-34", "conv1.weight layer1.2.conv2.weight layer3.5.conv2.weight layer4.2.conv2.weight fc.weight"),
    ("this is ResNet-50", "conv1.weight layer1.0.conv1.weight layer1.0.conv3.weight layer3.5.conv3.weight fc.weight"),
    (
        "this is ResNet-101",
        (
            "conv1.weight layer1.0.conv3.weight layer3.5.conv3.weight layer3.6.conv3.weight "
            "layer3.22.conv3.weight fc.weight"
        ),
    ),
    (
        "this is ResNet-152",
        "conv1.weight layer1.0.conv3.weight layer3.23.conv3.weight layer3.35.conv3.weight fc.weight",
    ),
    (
        "a ResNet",
        (
            "conv1.weight layer1.0.conv1.weight layer1.0.bn1.weight layer2.0.conv1.weight layer3.0.conv1.weight "
            "linear.weight"
        ),
    ),
    ("a ResNet, of which most is missing, none", "conv1.weight bn1.weight layer1.0.conv1.weight fc.weight"),
    ("a ResNet, of which most is missing, none", "layer4.1.conv1.weight layer4.1.bn1.weight layer4.1.conv2.weight"),
    ("SE-ResNet", "conv1.weight layer1.0.conv1.weight layer1.0.se.fc1.weight layer2.0.conv1.weight fc.weight"),
    (
        "MobileNetV4 with attention",
        (
            "conv_stem.weight blocks.1.0.dw_start.conv.weight blocks.1.0.pw_exp.conv.weight "
            "blocks.2.4.attn.query.proj.weight classifier.weight"
        ),
    ),
    ("EfficientNet.*all operators", "_conv_stem.weight _blocks.0._depthwise_conv.weight _fc.weight"),
    (
        "EfficientNet",
        "features.0.0.weight features.1.0.block.0.0.weight features.1.0.block.1.fc1.weight classifier.1.weight",
    ),
    (
        "EfficientNet",
        (
            "conv_stem.weight blocks.0.0.conv_dw.weight blocks.0.0.se.conv_reduce.weight "
            "blocks.1.0.conv_pwl.weight conv_head.weight bn2.weight classifier.weight"
        ),
    ),
    ("EfficientNetV2", "conv_stem.weight blocks.1.0.conv_exp.weight blocks.1.0.conv_pwl.weight classifier.weight"),
    (
        "LCNet",
        (
            "conv_stem.weight blocks.0.0.conv_dw.weight blocks.5.0.se.conv_reduce.weight conv_head.weight "
            "classifier.weight"
        ),
    ),
    ("ShuffleNetV2", "conv1.0.weight stage2.0.branch1.0.weight stage2.0.branch2.0.weight conv5.0.weight fc.weight"),
    (
        "SqueezeNet",
        (
            "features.0.weight features.3.squeeze.weight features.3.expand1x1.weight features.3.expand3x3.weight "
            "classifier.1.weight"
        ),
    ),
    ("DenseNet", "features.conv0.weight features.denseblock1.denselayer1.norm1.weight classifier.weight"),
    ("Inception v3", "Conv2d_1a_3x3.conv.weight Mixed_5b.branch1x1.conv.weight fc.weight"),
    ("GoogLeNet", "conv1.conv.weight inception3a.branch1.conv.weight fc.weight"),
    ("VGG", "features.0.weight features.2.weight features.28.weight classifier.0.weight classifier.6.weight"),
    ("AlexNet", "features.0.weight features.3.weight features.10.weight classifier.1.weight classifier.6.weight"),
    ("Xception", "conv1.weight block1.rep.0.conv1.weight block1.rep.0.pointwise.weight fc.weight"),
    ("RegNet", "stem.0.weight trunk_output.block1.block1-0.f.a.0.weight fc.weight"),
    ("HRNet", "conv1.weight stage2.0.branches.0.0.conv1.weight classifier.weight"),
    ("GhostNet", "conv_stem.weight blocks.0.0.ghost1.primary_conv.0.weight classifier.weight"),
    ("RepVGG", "stage0.rbr_dense.conv.weight stage1.0.rbr_dense.conv.weight linear.weight"),
    ("MobileFaceNet", "conv1.conv.weight conv2_dw.conv.weight conv_23.conv.conv.weight linear.weight"),
    ("ConvNeXt", "stem.0.weight stages.0.blocks.0.gamma stages.0.blocks.0.conv_dw.weight head.fc.weight"),
    ("ConvNeXt", "features.0.0.weight features.1.0.layer_scale features.1.0.block.0.weight classifier.2.weight"),
    ("MobileViT", "conv_1.block.conv.weight layer_3.1.global_rep.0.pre_norm_mha.0.weight classifier.fc.weight"),
    (
        "FastViT",
        (
            "stem.0.conv_kxk.0.conv.weight stages.0.blocks.0.token_mixer.mixer.conv_kxk.0.conv.weight "
            "stages.0.blocks.0.mlp.conv.conv.weight head.fc.weight"
        ),
    ),
    ("EfficientFormer", "stem.conv1.weight network.0.0.token_mixer.pool.weight head.weight"),
    (
        "Vision Transformer",
        (
            "class_token conv_proj.weight encoder.pos_embedding "
            "encoder.layers.encoder_layer_0.self_attention.in_proj_weight heads.head.weight"
        ),
    ),
    ("Vision Transformer", "cls_token pos_embed patch_embed.proj.weight blocks.0.attn.qkv.weight head.weight"),
    (
        "Swin",
        (
            "patch_embed.proj.weight layers.0.blocks.0.attn.relative_position_bias_table "
            "layers.0.blocks.0.attn.qkv.weight head.weight"
        ),
    ),
    (
        "BERT",
        "bert.embeddings.word_embeddings.weight bert.encoder.layer.0.attention.self.query.weight classifier.weight",
    ),
    ("a language model", "model.embed_tokens.weight model.layers.0.self_attn.q_proj.weight lm_head.weight"),
    (
        "LoRA",
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight "
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
        ),
    ),
    ("CLIP", "logit_scale visual.conv1.weight visual.transformer.resblocks.0.attn.in_proj_weight"),
    ("Stable Diffusion", "model.diffusion_model.input_blocks.0.0.weight first_stage_model.encoder.conv_in.weight"),
    ("YOLOv8", "model.0.conv.weight model.2.cv1.conv.weight model.22.dfl.conv.weight"),
    ("YOLO", "model.0.conv.weight model.2.cv1.conv.weight model.24.m.0.weight model.24.anchors"),
    ("YOLOv3", "module_list.0.Conv2d.weight module_list.0.BatchNorm2d.weight"),
    (
        "SSD.*last convolutions",
        (
            "base_net.0.0.weight base_net.1.0.weight base_net.1.3.weight classification_headers.0.weight "
            "regression_headers.0.weight"
        ),
    ),
    (
        "SSD",
        (
            "backbone.features.0.0.0.weight backbone.features.0.1.block.0.0.weight "
            "head.classification_head.module_list.0.1.weight"
        ),
    ),
    ("Faster R-CNN", "backbone.body.conv1.weight rpn.head.conv.weight roi_heads.box_head.fc6.weight"),
    (
        "DeepLab.*last convolutions",
        "backbone.0.0.weight backbone.1.block.0.0.weight classifier.0.convs.0.0.weight classifier.4.weight",
    ),
    (
        "LR-ASPP",
        (
            "backbone.0.0.weight backbone.1.block.0.0.weight classifier.cbr.0.weight "
            "classifier.low_classifier.weight classifier.high_classifier.weight"
        ),
    ),
    (
        "U-Net",
        (
            "inc.double_conv.0.weight down1.maxpool_conv.1.double_conv.0.weight up1.conv.double_conv.0.weight "
            "outc.conv.weight"
        ),
    ),
    ("U-Net decoder", "encoder.features.0.0.weight decoder.blocks.0.conv1.0.weight segmentation_head.0.weight"),
    (
        "ProxylessNAS",
        "first_conv.conv.weight blocks.0.mobile_inverted_conv.depth_conv.conv.weight classifier.linear.weight",
    ),
    ("RetinaFace", "body.stage1.0.0.weight fpn.output1.0.weight ClassHead.0.conv1x1.weight"),
    (
        "EfficientDet",
        "backbone.conv_stem.weight fpn.cell.0.fnode.0.after_combine.conv.weight class_net.conv_rep.0.weight",
    ),
    (
        "OpenPose",
        "model.0.0.weight model.1.0.weight model.1.3.weight cpm.align.0.weight initial_stage.trunk.0.0.weight",
    ),
    ("FCN", "backbone.conv1.weight backbone.layer1.0.conv1.weight classifier.0.weight classifier.4.weight"),
    ("PSPNet", "layer0.0.weight layer1.0.conv1.weight ppm.features.0.1.weight cls.4.weight"),
    ("speech", "encoder.conv1.weight encoder.blocks.0.attn.query.weight decoder.token_embedding.weight"),
    ("LeViT", "patch_embed.0.c.weight blocks.0.m.attention_biases head.l.weight"),
    ("MLP-Mixer", "stem.proj.weight blocks.0.mlp_tokens.fc1.weight head.weight"),
    ("R3D", "stem.0.weight layer1.0.conv1.0.weight fc.weight"),
    ("FaceNet", "conv2d_1a.conv.weight repeat_1.0.branch0.conv.weight last_linear.weight"),
    ("LSTM", "lstm.weight_ih_l0 lstm.weight_hh_l0 fc.weight"),
    ("LeNet", "conv1.weight conv2.weight fc1.weight fc2.weight"),
    ("without a convolution", "fc1.weight fc2.weight"),
)


def state_of(keys: str) -> dict[str, torch.Tensor]:
    return {
        key: torch.zeros(8, 1, 3, 3) if "conv" in key or key.startswith(("features", "backbone")) else torch.zeros(8)
        for key in keys.split()
    }


@pytest.mark.parametrize(("message", "keys"), NETWORKS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_other_networks_are_named_with_the_next_step(message: str, keys: str, prefix: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {f"{prefix}{key}": t for key, t in state_of(keys).items()}}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        load(tmp_path / "m.pth")
    text = str(caught.value)
    assert "none of edgekit's families" in text
    assert any(step in text for step in ("edgekit export model.onnx", "train a MobileNet", "edgekit exports", "save"))


def test_the_state_of_an_optimizer_is_named(tmp_path: Path) -> None:
    state = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}}}
    torch.save(state, tmp_path / "optimizer.pth")
    with pytest.raises(CheckpointError, match="the state of an optimizer"):
        load(tmp_path / "optimizer.pth")


def test_every_kind_of_the_table_says_a_way() -> None:
    assert len(foreign.kinds()) >= 60
    for kind in foreign.kinds():
        assert kind.marks
        assert " " in kind.way or kind.way in foreign._WAYS


def test_every_kind_reads_as_one_sentence() -> None:
    for kind in foreign.kinds():
        sentence = f"this is {kind.name}, none of edgekit's families: {kind.step}"
        assert not sentence.endswith(".")
        for clumsy in ("are none", "and no Mobile", ", which train", "  "):
            assert clumsy not in sentence
        assert re.search(r"train a MobileNet|edgekit export|give the|merge it", kind.step), sentence


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


FILES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer.*git lfs pull"),
    (b"<!DOCTYPE html>\n<html><head><title>Google Drive</title></head></html>", "HTML page.*download it again"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML answer of a server"),
    (b'{"error": "Repository not found"}', "server's error message"),
    (b"Access denied", "server's error message"),
    (b"Entry not found, and more text follows here", "server's error message|damaged"),
    (b'{"architectures": ["MobileNetV2"]}', "JSON text without weights"),
    (gzip.compress(b"weights", mtime=0), "compressed with gzip: gunzip"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"\x1c\x00\x00\x00TFL3\x14\x00", "TensorFlow Lite file"),
    (b"\x18\x00\x00\x00ET12", "ExecuTorch"),
    (b"GGUF\x03\x00\x00\x00", "GGUF"),
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff\xe0", "JPEG image"),
    (b"%PDF-1.7", "PDF"),
    (b"\x93NUMPY\x01\x00", "NumPy array"),
    (b"\x08\x08\x12\x07pytorch\x1a\x05", "ONNX file by its content: give it the suffix .onnx"),
    (b"\n\x1e\n\x05input\x12\x0bPlaceholder*\x08", "graph of TensorFlow.*tf2onnx"),
    (b'model_checkpoint_path: "model.ckpt-1000"\n', "index of TensorFlow's checkpoints"),
    (tarred(), "tar archive"),
    (zipped("m/code/__torch__.py", "m/constants.pkl", "m/data.pkl"), "TorchScript program.*never runs.*onnx"),
    (zipped("m/archive_format", "m/models/model.json"), "program of torch.export.*never runs.*onnx"),
    (zipped("saved_model/saved_model.pb"), "zipped SavedModel"),
    (zipped("weights.npy"), "arrays of NumPy"),
    (zipped("run1/best.pth", "run1/log.txt"), "zip archive: unzip it"),
    (b"", "is empty"),
)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
@pytest.mark.parametrize(("content", "message"), FILES)
def test_files_that_are_no_checkpoints(content: bytes, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_file_is_read_by_its_content(tmp_path: Path) -> None:
    from safetensors.torch import save

    from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
    from edgekit.models.network import build

    state = build(mobilenet_v3_digits()).state_dict()
    (tmp_path / "pytorch_model.bin").write_bytes(save(dict(state)))
    torch.save(state, tmp_path / "m.safetensors")
    for name in ("pytorch_model.bin", "m.safetensors"):
        assert load(tmp_path / name).architecture == mobilenet_v3_digits()


FOLDERS: tuple[tuple[str, str], ...] = (
    ("saved_model.pb", "SavedModel of TensorFlow.*tf2onnx"),
    ("model.ckpt.data-00000-of-00001", "checkpoint of TensorFlow"),
    ("Manifest.json", "Core ML package"),
    ("model.safetensors.index.json", "weights in several files"),
    ("best.pth", r"give one of its checkpoints: best\.pth"),
    ("notes.txt", "give the path of a checkpoint"),
)


@pytest.mark.parametrize(("name", "message"), FOLDERS)
def test_folders_of_other_things(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


class Settings:
    """A class that only a training has."""

    def __init__(self) -> None:
        self.rate = 0.1


@pytest.mark.parametrize("as_zip", [False, True])
def test_objects_beside_the_weights_are_left_unread(*, as_zip: bool, tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
    from edgekit.models.network import build

    state = build(mobilenet_v3_digits()).state_dict()
    value: dict[str, Any] = {"hyper_parameters": Settings(), "state_dict": state, "path": tmp_path}
    torch.save(value, tmp_path / "m.ckpt", _use_new_zipfile_serialization=as_zip)
    checkpoint = load(tmp_path / "m.ckpt")
    assert checkpoint.architecture == mobilenet_v3_digits()
    assert any("left aside unread" in note and "Settings" in note for note in checkpoint.notes)


def test_what_a_library_wrote_whole_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys
    import types

    for module, message in (("ultralytics.nn.tasks", "YOLO of Ultralytics"), ("fastai.learner", "Learner of fastai")):
        kind: Callable[[], object] = type("Model", (), {"__module__": module})
        holder = types.ModuleType(module)
        holder.Model = kind  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module, holder)
        for parent in (module.partition(".")[0], module.rpartition(".")[0]):
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        torch.save({"model": kind()}, tmp_path / "m.pt")
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path / "m.pt")


KERAS = (
    ("ResNet", "conv1_conv conv2_block1_1_conv conv2_block1_0_conv", "MaxPooling2D"),
    ("DenseNet", "conv1_conv conv2_block1_1_conv pool2_conv", "Concatenate"),
    ("VGG", "block1_conv1 block5_conv1", "MaxPooling2D"),
    ("EfficientNet", "stem_conv block1a_dwconv", "Multiply"),
)


@pytest.mark.parametrize(("message", "layers", "kind"), KERAS)
def test_keras_models_of_other_networks_are_named(message: str, layers: str, kind: str, tmp_path: Path) -> None:
    import json

    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    rows = [{"class_name": kind, "config": {"name": "other"}}]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": rows}})
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in layers.split()]
        for name in layers.split():
            weights.create_group(name).attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            weights[name][f"{name}/kernel:0"] = torch.zeros(3, 3, 8, 8).numpy()
    with pytest.raises(CheckpointError, match=f"this is Keras' {message}"):
        load(tmp_path / "m.h5")

import pandas as pd
import pytest

from cmon.reporting.page import content

IMAGES = pd.DataFrame({"path": ["/data/birds/a/1.jpg", "/data/birds/b/2.jpg"]})


@pytest.mark.parametrize(
    ("model", "network", "clip", "words"),
    [
        ("torchvision:resnet18", "resnet18", "ViT-B-16:openai", "ViT-B-16:openai"),
        ("python:nets:small", "nets:small", "local-dir:data/world-clip/", "world-clip"),
        ("python:nets/small.py:make", "small.py:make", "python:/a/b.py:clip", "b.py:clip"),
        ("timm:vit_tiny", "vit_tiny", "hf-hub:org/name", "org/name"),
    ],
)
def test_the_heading_names_network_probe_and_clip(model, network, clip, words):
    title, subtitle = content.heading(model, clip, IMAGES)
    assert title == f"What the neurons of {network} learn"
    assert subtitle == f"on the images of birds, in the words of {words}"


def test_what_is_not_known_is_not_named():
    apart = pd.DataFrame({"path": ["C:\\a.jpg", "/b/c.jpg"]})
    assert content.heading("", "", apart) == ("What the neurons learn", "on the probe images")


def test_a_folder_that_says_nothing_is_named_with_the_one_above():
    images = pd.DataFrame({"path": ["/data/birds/val/1.jpg", "/data/birds/val/2.jpg"]})
    assert content.heading("", "", images)[1] == "on the images of birds/val"

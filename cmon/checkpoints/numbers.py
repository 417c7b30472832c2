"""The numbers in a checkpoint's name, each with what the word beside it says that it counts.

A number counts epochs or steps only where a word says so, where it stands behind a word such as `checkpoint`, or
where nothing says that it is something else: not a learning rate, a rank, a seed, a date, a size, an accuracy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What a number counts."""

    EPOCH = 0
    """`epoch_3`, `ep3`, `3epochs`."""
    STEP = 1
    """`step_300`, `iter300`, `ba400`, `300steps`."""
    SAVED = 2
    """`checkpoint-3`, `model_3`: which of them, an epoch unless something else is known."""
    BARE = 3
    """`resnet50_20`, `3`."""
    DOUBTFUL = 4
    """`vit_b_16`, `resnet18_224`, `cifar_10`: part of another name, unless it differs from file to file."""
    OTHER = 5
    """`seed3`, `lr1e-4`, `acc=0.9`, `2024-05-17`, `224x224`: never an epoch."""


@dataclass(frozen=True)
class Number:
    """One number of a name."""

    kind: Kind
    text: str
    """As it is written."""
    start: int
    """Where it begins in the part of the name."""
    value: float = 0.0
    """Of what counts; 0 for others."""
    total: bool = False
    """Whether its word may as well mean how many epochs there are in all: `epochs100`, `e100`."""
    varies: bool = False
    """Whether it has another value in every file of one training: a measurement, a date, a hash."""


MOST_EPOCHS = 1_000_000
"""A larger number is a date, a time or a hash."""
MOST_STEPS = 2**53
"""A larger number is none that a float, as epochs are kept, tells from the next."""

_DIGITS = r"(?P<number>\d+)(?!\d|\.\d|e[-+]?\d)"
_STEPS = "global[-_ ]?steps?|(?:train[-_ ]?|num[-_])?steps?|iterations?|iters?|(?:num[-_])?updates?|ba"
_LABELLED = re.compile(
    rf"(?<![a-z])(?:(?P<all>max|total|num|n|of|all)[-_]?)?(?P<word>epochs?|ep|e|{_STEPS})[-_=. ]?"
    rf"(?:(?<=[-_=. ])(?P<fraction>\d+\.\d+)(?![\d.])|{_DIGITS}(?P<thousand>k(?![a-z\d]))?)",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"(?<![a-z\d])(?<!\d\.)(?P<number>\d+)(?P<thousand>k)?[-_ ]?"
    r"(?P<word>epochs?|eps?|e|steps?|iterations?|iters?|its)(?![a-z\d=])",
    re.IGNORECASE,
)
_SAVED = re.compile(
    r"(?<![a-z])(?:checkpoint|ckpt|chkpt|model|net|network|weights|params|snapshot|milestone)[-_=. ]?"
    rf"{_DIGITS}(?![a-z])",
    re.IGNORECASE,
)
_CLOCK = r"(?:[-_ t.]{1,2}(?:[01]\d|2[0-3])[-_:.h]?[0-5]\d(?:[-_:.m]?[0-5]\d)?s?(?!\d))?"
_MONTH, _DAY, _YEAR = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])", r"(?:19|20)\d\d"
_VARYING = [
    rf"(?<!\d){_YEAR}(?P<mark>[-_.]?){_MONTH}(?P=mark){_DAY}(?!\d){_CLOCK}",  # 20240517_103000
    rf"(?<!\d){_YEAR}{_MONTH}{_DAY}\d{{4}}(?:\d\d)?(?!\d)",  # 20240517103000
    rf"(?<!\d){_DAY}(?P<mark>[-_.]){_MONTH}(?P=mark){_YEAR}(?!\d){_CLOCK}",  # 17-05-2024
    rf"(?<![a-z])(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[-_ ]?\d\d?(?!\d){_CLOCK}",
    r"(?<!\d)(?:[01]\d|2[0-3])[-_:][0-5]\d[-_:][0-5]\d(?!\d)",  # 10-30-00
    r"(?<![a-z\d])(?=[a-f]*\d)(?=\d*[a-f])[\da-f]{6,64}(?![a-z\d])",  # a hash
    r"=\s*-?\d+(?:\.\d+)?(?:e[-+]?\d+)?",  # val_loss=0.12
    r"(?<![a-z])(?:acc|accuracy|acc1|acc5|prec|prec1|precision|recall|loss|val|valid|test|train|err|error|map|iou|miou|"
    r"dice|f1|auc|psnr|ssim|fid|score|metric|best|bleu|ppl|mse|mae|rmse|kl|elbo|reward|top[-_]?\d+|r1)"
    r"[-_ @]{0,2}-?\d+(?:\.\d+)?(?!\d)",
    r"(?<![a-z])(?:top|acc)[-_@]?\d+",
]
_FIXED = [
    r"\d+x\d+(?:x\d+)?",  # 224x224
    r"\d+[-_]?of[-_]?\d+",  # 00001-of-00004
    r"(?<![a-z])(?:lr|wd|bs|batch|batch[-_]?size|size|seed|fold|cv|split|runs?|exp|expt|experiment|trial|try|rank|"
    r"mp_rank|dp_rank|pp_rank|zero_pp_rank|local_rank|world_size|gpus?|device|cuda|worker|proc|process|node|part|shard|"
    r"version|ver|v|patch|window|win|img|image|imgsz|image[-_]?size|res|resolution|px|dim|depth|width|layers?|blocks?|"
    r"heads?|class|classes|nc|num|n|k|temp|temperature|tau|alpha|beta|gamma|lambda|eps|momentum|decay|"
    r"weight[-_]?decay|dropout|drop|warmup|mixup|cutmix|fp|bf|int|bits?|stage|phase|task|cfg|config|group|user|id|job|"
    r"slurm|port|pid|date|time|day|year|month|ratio|sparsity|scale|tp|pp|mp|dp|replica|subject|expert|hidden|embed|emb|"
    r"kernel|stride|dilation|copy|backup|bak|team|client|site|host)[-_= ]{0,2}-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\d)",
    r"\d+(?:\.\d+)?e[-+]?\d+(?![a-z\d])",  # 1e-4
    r"(?<![a-z\d])-\d+(?=$|[-_])",  # a number below 0
]
_MEASURED = r"\d+(?:\.\d+)+"  # 0.91
_OTHER = [
    (re.compile(pattern, re.IGNORECASE), varies)
    for varies, patterns in (
        (True, _VARYING[:5]),
        (False, _FIXED),
        (True, [*_VARYING[5:], _MEASURED]),
    )
    for pattern in patterns
]
_FAMILY = re.compile(
    r"(?<![a-z\d])(?:(?:wrn|wide[-_]?resnet)[-_]?\d+|squeezenet\d|mnasnet\d|shufflenet_v2_x\d|resnet|resnext|rn|vgg|densenet|"
    r"dla|vit(?:[-_](?:[a-z]{1,2}|tiny|small|base|large|huge|giant))?|deit|swin|beit|dino|clip|cifar|coco|voc|imagenet|in|"
    r"mnist|pascal|caltech|tiny|small|base|large|huge|giant)[-_](?P<number>\d+)(?![a-z\d.])",
    re.IGNORECASE,
)
_SIZES = frozenset(
    (112, 128, 160, 192, 224, 240, 256, 288, 299, 320, 336, 384, 448, 480, 512, 640, 768, 1024)
)
_ALONE = re.compile(r"(?<![a-z\d])(?<!\d\.)(?P<number>\d+)(?![a-z\d]|\.\d)", re.IGNORECASE)


def find_numbers(stem: str) -> list[Number]:
    """The numbers in one part of a name, in their order; those inside words (`resnet18`) are left out.

    stem: a file's name without its suffix, or a folder's name.
    """
    found: list[Number] = []
    left = stem
    for find in (_find_labelled, _find_others, _find_rest):
        for number, start, end in find(left):
            found.append(number)
            left = left[:start] + "/" * (end - start) + left[end:]
    return sorted(found, key=lambda number: number.start)


Found = Iterator[tuple[Number, int, int]]
"""(number, where it begins with its word, where that ends)."""


def _find_labelled(stem: str) -> Found:
    """Numbers behind a word for epochs or steps."""
    for match in _LABELLED.finditer(stem):
        start = match.start("word")
        if stem[start - 1 : start].isdigit() and len(match["word"]) < 3:
            continue  # the exponent of 1e-4
        if match["all"]:
            yield Number(Kind.OTHER, match[0], match.start()), *match.span()
        else:
            yield _count(match), *match.span()


def _find_others(stem: str) -> Found:
    """Numbers that count nothing."""
    for pattern, varies in _OTHER:
        for match in pattern.finditer(stem):
            yield Number(Kind.OTHER, match[0], match.start(), varies=varies), *match.span()
            stem = stem[: match.start()] + "/" * len(match[0]) + stem[match.end() :]


def _find_rest(stem: str) -> Found:
    """Numbers in front of a word for epochs or steps, and those that nothing is known of."""
    for pattern, kind in (
        (_COUNTED, Kind.EPOCH),
        (_SAVED, Kind.SAVED),
        (_FAMILY, Kind.DOUBTFUL),
        (_ALONE, Kind.BARE),
    ):
        for match in pattern.finditer(stem):
            if pattern is _COUNTED:
                number = _count(match)
            else:
                sized = kind is Kind.BARE and int(match["number"]) in _SIZES and stem != match[0]
                number = _limited(match, Kind.DOUBTFUL if sized else kind, float(match["number"]))
            yield number, *match.span()
            stem = stem[: match.start()] + "/" * len(match[0]) + stem[match.end() :]


def _count(match: re.Match[str]) -> Number:
    """A number of epochs or steps, by its word."""
    groups, word = match.groupdict(), match["word"].lower()
    value = float(groups.get("fraction") or match["number"]) * (1000 if groups.get("thousand") else 1)
    is_epoch = word.startswith("e")
    return _limited(
        match,
        Kind.EPOCH if is_epoch else Kind.STEP,
        value,
        total=is_epoch and word not in ("epoch", "ep"),
    )


def _limited(match: re.Match[str], kind: Kind, value: float, total: bool = False) -> Number:
    """The number, as OTHER where it is too large to be an epoch."""
    place = "fraction" if match.groupdict().get("fraction") else "number"
    if value > (MOST_STEPS if kind is Kind.STEP else MOST_EPOCHS):
        return Number(Kind.OTHER, match[place], match.start(place), varies=True)
    return Number(kind, match[place], match.start(place), value, total)

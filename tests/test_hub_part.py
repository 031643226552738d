"""A short fine-tune on a data set of the Hub downloads what it needs: of every class its share, in
little more bytes than these examples have, and once."""

import errno
import io
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_hub

from training import __main__ as command
from training.__main__ import DONE, SETTINGS
from training.data import hub
from training.data.hub_examples import load_from_hub
from training.data.hub_preview import preview
from training.data.hub_rows import Choice
from training.data.pictures import KIND
from training.data.ranged import kept
from training.data.ranged.plan import MOST, Stretch, choose_rows
from training.data.ranged.thrift import ThriftError, read_struct
from training.recipe import SettingsError
from training.runs.batches import Stopped

NAME = "me/meals"
CLASSES = [f"dish{i:02}" for i in range(20)]
EACH = 60  # rows of a class, in each of the shards that hold it
# Parquet files as they are found: what they are written by has changed over the years.
WRITTEN = {
    "pages of plain bytes": dict(
        compression="NONE", write_page_index=True, use_dictionary=False, data_page_size=1 << 15
    ),
    "packed pages": dict(
        compression="snappy", write_page_index=True, use_dictionary=False, data_page_size=1 << 14
    ),
    "pages of the second version": dict(
        compression="zstd",
        write_page_index=True,
        use_dictionary=False,
        data_page_size=1 << 14,
        data_page_version="2.0",
    ),
    "no index": dict(compression="snappy", use_dictionary=False, rows=10),
    "a dictionary": dict(compression="snappy", write_page_index=True, rows=10),
}
WHOLE = ("no index", "a dictionary")  # of which only whole row groups can be read


@pytest.fixture
def reached(tmp_path, monkeypatch):
    """A small Hub that this process asks, with a cache of its own."""
    from datasets import config

    with small_hub.serve() as made:
        made.be_asked(monkeypatch, tmp_path / "home")
        monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "home" / "datasets")
        yield made


def features(label: object = None):
    import datasets

    return datasets.Features(
        {"image": datasets.Image(), "label": label or datasets.ClassLabel(names=CLASSES)}
    )


def make_table(labels, seed: int = 0, said=None) -> pa.Table:
    """Rows of noise, of about 2,000 bytes each."""
    rng = np.random.default_rng(seed)
    images = [
        {"bytes": rng.bytes(int(size)), "path": None}
        for size in rng.integers(800, 3200, len(labels))
    ]
    made = features() if said is None else features(said)
    return pa.table({"image": images, "label": labels}).cast(made.arrow_schema)


def write(table: pa.Table, rows: int = 100, **how) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=rows, write_batch_size=8, **how)
    return file.getvalue()


@pytest.fixture
def meals(reached, monkeypatch):
    """Publishes shards that are ordered by class, as Food-101's are; gives what they hold."""

    def publish(how: str = "pages of plain bytes", tested: int = 200, tables=None):
        shards = tables or [
            make_table(np.repeat(np.arange(low, low + 10), EACH), low) for low in (0, 10)
        ]
        files = {f"train-{i}.parquet": write(t, **WRITTEN[how]) for i, t in enumerate(shards)}
        splits = {"train": [*files]}
        if tested:
            held = make_table(np.arange(tested) % len(CLASSES), 99)
            files["test.parquet"] = write(held, **WRITTEN[how])
            splits["test"] = ["test.parquet"]
        repo = small_hub.Repo(False, files)
        reached.repos[f"dataset/{NAME}"] = repo
        monkeypatch.setattr(
            hub,
            "find_files",
            lambda *_: hub.Files(repo.sha, splits, False) if hub.is_reachable() else None,
        )
        return pa.concat_tables(shards)

    return publish


def count_bytes(data) -> int:
    """What the examples that were taken have."""
    tables = kept.find_home().rglob("*.arrow")
    return sum(
        len(content)
        for path in tables
        for content in pa.ipc.open_file(str(path))
        .read_all()
        .column("image")
        .combine_chunks()
        .field("bytes")
        .to_pylist()
    )


def fetch(limit: int = 100, **chosen):
    return load_from_hub(NAME, KIND, None, Choice(limit=limit, holdout=0.05, **chosen))


# -- what is fetched -------------------------------------------------------------------------------
@pytest.mark.parametrize("how", WRITTEN)
def test_every_class_has_its_share_in_at_most_three_times_the_bytes(meals, reached, how):
    whole = meals(how)
    data = fetch()
    assert reached.sent <= 3 * count_bytes(data), how
    assert reached.sent < 0.8 * sum(map(len, reached.repos[f"dataset/{NAME}"].files.values()))
    seen, counts = np.unique(data.train.strata, return_counts=True)
    assert list(seen) == list(range(20)) and len(data.train) >= 100 and len(data.test) == 200
    if how not in WHOLE:
        assert max(counts) - min(counts) <= 1
    assert data.classes == CLASSES and data.revision == reached.repos[f"dataset/{NAME}"].sha
    held = {
        each["bytes"]: label
        for each, label in zip(
            whole.column("image").to_pylist(), whole.column("label").to_pylist(), strict=True
        )
    }
    table = next(kept.find_home().rglob("train.arrow"))
    for row in pa.ipc.open_file(str(table)).read_all().to_pylist():
        assert held.pop(row["image"]["bytes"]) == row["its class"], "of another class, or twice"


def test_the_test_part_is_limited_too_and_how_many_it_is_of_is_said(meals, monkeypatch):
    from training.data import hub_rows

    monkeypatch.setattr(hub_rows, "TESTED", 40)
    monkeypatch.setattr(hub_rows, "SMALL", 0)
    meals()
    data = fetch()
    assert len(data.test) == 40 and set(data.test.strata) == set(range(20))
    assert data.about == f"the 40 of 200 test pictures of {NAME}"
    assert data.notes and "Of the 1,400 examples" in data.notes[0] and "MB of" in data.notes[0]


def test_without_a_test_part_one_is_parted_off_what_was_fetched(meals):
    meals(tested=0)
    data = fetch(60)
    assert len(data.train) >= 60 and set(data.test.strata) == set(range(20))


def test_captions_come_with_their_pictures(reached, monkeypatch):
    import datasets

    from training.recipes.captioning.data import load

    rng = np.random.default_rng(0)
    made = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    rows = [{"bytes": rng.bytes(2000), "path": None} for _ in range(1200)]
    said = [f"picture {i}" for i in range(1200)]
    table = pa.table({"image": rows, "caption": said}).cast(made.arrow_schema)
    repo = small_hub.Repo(False, {"train.parquet": write(table, **WRITTEN["packed pages"])})
    reached.repos[f"dataset/{NAME}"] = repo
    files = hub.Files(repo.sha, {"train": ["train.parquet"]}, False)
    monkeypatch.setattr(hub, "find_files", lambda *_: files)
    data = load(NAME, "hub", choice=Choice(limit=50))
    assert len(data.train) >= 50 and reached.sent < 0.5 * len(repo.files["train.parquet"])
    kept_rows = pa.ipc.open_file(str(next(kept.find_home().rglob("train.arrow")))).read_all()
    by_content = {row["bytes"]: text for row, text in zip(rows, said, strict=True)}
    for row in kept_rows.to_pylist():
        assert by_content[row["image"]["bytes"]] == row["caption"]


# -- in memory -------------------------------------------------------------------------------------
def test_no_more_is_begun_than_there_is_room_for(monkeypatch):
    """Jobs of 40 bytes each where there is room for 100, and one of 500 alone."""
    from training.data.ranged import remote

    monkeypatch.setattr(remote, "ROOM", 100)
    held, most = [], []

    def act(weight: int) -> int:
        held.append(weight)
        most.append(sum(held))
        return weight

    jobs = [40] * 20 + [500] + [40] * 20
    for given, weight in zip(remote.Line().stream(act, jobs, lambda w: w), jobs, strict=True):
        assert given == weight, "in their order"
        held.remove(weight)
    assert max(most) == 500 and sorted(most)[-2] <= 100


def test_what_is_done_and_not_taken_yet_holds_the_others_back(monkeypatch):
    from training.data.ranged import remote

    begun = []
    monkeypatch.setattr(remote, "AHEAD", 3)
    given = remote.Line().stream(begun.append, range(20))
    next(given)
    assert len(begun) <= 3
    given.close()
    assert len(begun) <= 3


@pytest.mark.parametrize("how", WRITTEN)
def test_what_was_fetched_goes_to_the_disk_and_is_not_held(meals, reached, monkeypatch, how):
    from training.data.ranged import remote, shard, table

    files, lying = [], []
    made = remote.RemoteFile.__init__
    monkeypatch.setattr(
        remote.RemoteFile, "__init__", lambda self, *of: (files.append(self), made(self, *of))[1]
    )
    read = table._read_job
    monkeypatch.setattr(
        table,
        "_read_job",
        lambda job: lying.append([*kept.find_home().rglob(".*/train")]) or read(job),
    )
    monkeypatch.setattr(shard, "BUFFER", 1 << 12)
    monkeypatch.setattr(remote, "ROOM", 1 << 15)
    meals(how)
    data = fetch()
    assert len(data.train) >= 100 and any(lying), "it is written as it comes"
    assert files and all(len(file.held) <= 2 for file in files), "a footer and an index"
    assert not [*kept.find_home().rglob(".*")], "nothing else is left"


# -- once ------------------------------------------------------------------------------------------
def test_the_same_again_fetches_nothing_also_without_a_hub(meals, reached, monkeypatch):
    meals()
    first = fetch()
    before = reached.sent
    again = fetch()
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    offline = fetch()
    assert reached.sent == before
    for data in (again, offline):
        assert (data.train.keys == first.train.keys).all()
        assert (data.test.keys == first.test.keys).all()
        assert (data.revision, data.about) == (first.revision, first.about)


def test_what_was_fetched_is_listed_with_its_disk_and_removed(meals, reached, runs, capsys):
    meals()
    fetch()
    size = kept.list_downloads()[NAME]
    assert command.main(["datasets", "list"]) == DONE
    assert f"{NAME} (Hub): {size / 1e6:.1f} MB" in capsys.readouterr().out
    assert command.main(["datasets", "remove", NAME]) == DONE
    assert f"Removed {NAME}, which frees {size / 1e6:.1f} MB" in capsys.readouterr().out
    assert not kept.list_downloads()
    assert command.main(["datasets", "remove", NAME]) == SETTINGS
    assert f"Nothing of {NAME} is on this disk" in capsys.readouterr().err


# -- what goes wrong -------------------------------------------------------------------------------
def is_empty() -> bool:
    return not [path for path in kept.find_home().rglob("*") if path.is_file()]


def test_a_line_that_breaks_leaves_nothing_half_and_says_so(meals, reached, monkeypatch):
    from training.data.ranged import remote

    monkeypatch.setattr(remote, "WAITS", (0.01,))
    meals()
    reached.cut_after = 200_000
    with pytest.raises(SettingsError, match=f"{NAME} could not be loaded from the Hub"):
        fetch()
    reached.refuse = {"": 503}
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    monkeypatch.setattr(
        hub, "find_files", lambda *_: hub.Files("1", {"train": ["train-0.parquet"]}, False)
    )
    with pytest.raises(SettingsError, match="The line to the Hub broke while me/meals was down"):
        fetch()
    assert is_empty()


def test_a_line_that_breaks_once_goes_on_from_there(meals, reached, monkeypatch):
    from training.data.ranged import remote

    monkeypatch.setattr(remote, "WAITS", (0.01,))
    meals()
    reached.cut_after, reached.cut_once = 200_000, True
    data = fetch()
    assert not reached.cut_after and len(data.train) >= 100
    assert reached.sent <= 3 * count_bytes(data)


def test_one_that_is_gated_says_where_to_ask(meals, reached):
    meals()
    reached.locked.add(NAME)
    with pytest.raises(SettingsError, match=f"gated: ask for access at http.*/datasets/{NAME}"):
        fetch()
    assert is_empty()


def test_a_stop_ends_it_and_leaves_nothing(meals, reached):
    meals()

    def stop(fetched: int) -> None:
        if fetched > 100_000:
            raise Stopped

    with pytest.raises(Stopped):
        fetch(watch=stop)
    assert is_empty()
    assert len(fetch().train) >= 100  # with nobody to stop it


def test_a_disk_that_fills_while_it_comes_is_told_and_leaves_nothing(meals, monkeypatch):
    from training.data.ranged import table

    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    meals()
    monkeypatch.setattr(table.RemoteTable, "_write", fill)
    with pytest.raises(SettingsError, match=f"{NAME} cannot be kept: No space left on device"):
        fetch()
    assert is_empty() and not [*kept.find_home().rglob(".*")]


@pytest.mark.parametrize("why", ["no ranges", "no content", "few rows"])
def test_what_cannot_be_read_in_part_is_read_whole_with_the_reason(
    meals, reached, monkeypatch, why
):
    import datasets

    table = make_table(np.arange(400) % 20)
    if why == "no content":
        rows = [{"bytes": None, "path": "a.jpg"}] * 400
        table = table.set_column(0, table.schema.field(0), pa.array(rows, table.schema.types[0]))
    meals(tables=[table], tested=0)
    reached.ranges = why != "no ranges"
    whole = datasets.Dataset(make_table(np.arange(400) % 20))
    monkeypatch.setattr(hub, "list_splits", lambda *_: ["train"])
    monkeypatch.setattr(hub, "load_dataset", lambda *_: (whole, "1"))
    data = fetch(390 if why == "few rows" else 100)
    assert len(data.train) + len(data.test) == 400 and is_empty()
    assert "downloaded whole and not in part" in data.notes[0]


def test_what_a_stranger_wrote_into_a_footer_ends_in_a_sentence_or_is_read_whole(
    meals, reached, monkeypatch
):
    import datasets

    meals(tested=0)
    whole = datasets.Dataset(make_table(np.arange(400) % 20))
    monkeypatch.setattr(hub, "list_splits", lambda *_: ["train"])
    monkeypatch.setattr(hub, "load_dataset", lambda *_: (whole, "1"))
    repo = reached.repos[f"dataset/{NAME}"]
    good = repo.files["train-0.parquet"]
    rng = np.random.default_rng(0)
    for _ in range(12):
        bad = bytearray(good)
        at = rng.integers(len(bad) - 4000, len(bad) - 8, 20)
        for place in at:
            bad[place] = rng.integers(256)
        repo.files["train-0.parquet"] = bytes(bad)
        assert len(fetch().train) >= 100
        kept.remove(NAME) if kept.list_downloads() else None


# -- its parts -------------------------------------------------------------------------------------
def cut_into(labels: np.ndarray, size: int, whole: bool, group: int = 4) -> list[Stretch]:
    starts = range(0, len(labels), size)
    return [
        Stretch(at, min(size, len(labels) - at), i // group, whole) for i, at in enumerate(starts)
    ]


@pytest.mark.parametrize("order", ["by class", "shuffled"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("limit", [20, 300, 2000])
def test_rows_are_chosen_of_every_class_where_little_has_to_be_read(order, whole, limit):
    labels = np.repeat(np.arange(100), 80)
    if order == "shuffled":
        labels = np.random.default_rng(0).permutation(labels)
    wanted = np.full(100, limit // 100) + (np.arange(100) < limit % 100)
    stretches = cut_into(labels, 50, whole)
    rows = choose_rows(labels, stretches, wanted)
    assert len(rows) == limit == len(np.unique(rows))
    read = 0
    for each in stretches:
        own = rows[(rows >= each.first) & (rows < each.first + each.rows)]
        read += (each.rows if whole else int(own.max()) - each.first + 1) if len(own) else 0
    assert read <= max(MOST * limit, 50)
    if not whole or limit == 2000:
        assert (np.bincount(labels[rows], minlength=100) == wanted).mean() > 0.5
    again = choose_rows(labels, stretches, wanted)
    assert (rows == again).all()


def test_rows_of_no_use_are_never_taken_and_few_are_all_taken():
    labels = np.array([0, -1, 1, -1, 0, 1, -1, 1] * 10)
    rows = choose_rows(labels, cut_into(labels, 7, False), np.array([500, 500]))
    assert (labels[rows] >= 0).all() and len(rows) == (labels >= 0).sum()


def test_thrift_that_ends_early_or_is_none_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ThriftError):
        read_struct(b"\x1c" * 5000, 0)
    for _ in range(300):
        try:
            read_struct(rng.bytes(40), 0)
        except ThriftError:
            pass
    assert read_struct(b"\x15\x04\x15\x08\x00rest", 0) == ({1: 2, 2: 4}, 5)


# -- columns and splits ----------------------------------------------------------------------------
def load_rows(monkeypatch, columns: dict, types: dict, splits=("train",), **chosen):
    """What is learned from of a data set with these columns beside its pictures."""
    import datasets

    count = len(next(iter(columns.values())))
    rng = np.random.default_rng(1)
    images = [{"bytes": rng.bytes(50), "path": None} for _ in range(count)]
    made = datasets.Features({"image": datasets.Image(), **types})
    rows = datasets.Dataset(pa.table({"image": images, **columns}).cast(made.arrow_schema))
    monkeypatch.setattr(hub, "list_splits", lambda *_: list(splits))
    monkeypatch.setattr(hub, "load_dataset", lambda *_: (rows, "1"))
    return load_from_hub(NAME, KIND, None, Choice(**chosen))


def values(kind: str):
    import datasets

    return datasets.Value(kind)


def test_texts_and_whole_numbers_are_classes(monkeypatch):
    take = partial(load_rows, monkeypatch)
    texts = take({"kind": ["pho", "ramen", "pho", "ramen"] * 5}, {"kind": values("string")})
    assert texts.classes == ["pho", "ramen"]
    numbers = take(
        {"grade": [10, 2, 10, 2] * 5, "id": list(range(20))},
        {"grade": values("int64"), "id": values("int64")},
    )
    assert numbers.classes == ["2", "10"]
    both = np.concatenate([numbers.train.strata, numbers.test.strata])
    assert sorted(both) == [0] * 10 + [1] * 10
    gaps = take({"kind": ["pho", "ramen", None, ""] * 5}, {"kind": values("string")})
    assert gaps.classes == ["pho", "ramen"] and len(gaps.train) + len(gaps.test) == 10


def test_where_several_columns_fit_a_sentence_names_them_and_a_setting_chooses(monkeypatch):
    import datasets

    columns = {"supplier": [0, 1] * 10, "label": [0, 0, 1, 1] * 5, "lang": [0] * 20}
    types = {name: datasets.ClassLabel(names=["a", "b"]) for name in columns}
    with pytest.raises(SettingsError, match="several columns .*: supplier, label. Choose one as"):
        load_rows(monkeypatch, columns, types)
    assert load_rows(monkeypatch, columns, types, label="label").classes == ["a", "b"]
    with pytest.raises(SettingsError, match="label_column is 'colour', which is no column of it"):
        load_rows(monkeypatch, columns, types, label="colour")
    with pytest.raises(SettingsError, match="column is 'label', which is none of the kind"):
        load_rows(monkeypatch, columns, types, label="label", column="label")
    # One that says the same of every row tells nothing apart.
    rest = {name: columns[name] for name in ("label", "lang")}
    assert load_rows(monkeypatch, rest, {name: types[name] for name in rest}).classes == ["a", "b"]


def test_splits_are_chosen_by_name_or_by_share(monkeypatch):
    take = partial(
        load_rows, monkeypatch, {"kind": ["pho", "ramen"] * 50}, {"kind": values("string")}
    )
    with pytest.raises(SettingsError, match="no split named 'train', only a, b. Choose the one to"):
        take(splits=("a", "b"))
    assert "b pictures of" in take(splits=("a", "b"), train="a", test="b").about
    assert "held-out" in take(splits=("a", "b"), train="a").about
    assert len(take(splits=("all",)).test) + len(take(splits=("all",)).train) == 100
    few, many = (len(take(test=share).test) for share in ("0.1", "50%"))
    assert few < 25 < many
    for wrong in ("c", "1.5", "train", "0"):
        with pytest.raises(SettingsError, match="it must be another split .* or a share of it"):
            take(splits=("train", "test"), test=wrong)


# -- before Start ----------------------------------------------------------------------------------
def test_a_preview_shows_classes_counts_and_five_examples_and_keeps_nothing(meals, reached, capsys):
    meals()
    seen = preview(NAME)
    assert seen.splits == {"train": 1200, "test": 200} and seen.columns == ["image", "label"]
    assert (seen.things, seen.column, seen.label) == ("pictures", "image", "label")
    assert seen.classes == dict.fromkeys(CLASSES, EACH) and not seen.notes
    assert len({each.said for each in seen.samples}) == 5 and all(e.content for e in seen.samples)
    assert reached.sent < 0.1 * seen.bytes and is_empty()
    assert command.main(["datasets", "preview", NAME]) == DONE
    told = capsys.readouterr().out
    assert "pictures in image, classes in label" in told and "  dish00: 60\n" in told
    assert "Splits: train 1,200, test 200." in told


def test_a_preview_tells_what_has_to_be_chosen(meals):
    import datasets

    made = datasets.ClassLabel(names=["a", "b"])
    table = make_table([0, 1] * 30, said=made)
    both = table.append_column("supplier", table.column("label"))
    both = both.cast(datasets.Features({**features(made), "supplier": made}).arrow_schema)
    meals(tables=[both], tested=0)
    seen = preview(NAME)
    assert not seen.label and len(seen.samples) == 5
    assert "several columns that may be meant: label, supplier" in seen.notes[0]
    assert preview(NAME, "", Choice(label="label")).classes == {"a": 30, "b": 30}


def test_without_a_hub_a_preview_says_so(reached, monkeypatch):
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    with pytest.raises(SettingsError, match="The Hub does not answer, so me/x cannot be looked at"):
        preview("me/x")


def test_the_page_shows_a_preview_of_the_hubs_data_alone_and_runs_nothing_of_it(meals):
    import datasets
    import gradio as gr
    from PIL import Image

    from demos.hub_preview import look_at_data

    file = io.BytesIO()
    Image.new("RGB", (300, 200), (200, 30, 30)).save(file, "PNG")
    names = ["<script>alert(1)</script>", '"onload="x']
    made = features(datasets.ClassLabel(names=names))
    rows = [{"bytes": file.getvalue() + bytes([i]), "path": None} for i in range(40)]
    rows[3] = {"bytes": b"no picture", "path": None}
    table = pa.table({"image": rows, "label": [0, 1] * 20}).cast(made.arrow_schema)
    meals(tables=[table], tested=0)
    shown = look_at_data("food", {"source": "hub", "dataset": NAME}, True)
    assert "<script" not in shown and '"onload' not in shown and "&lt;script&gt;" in shown
    assert shown.count("data:image/jpeg;base64,") >= 4 and "2 classes" in shown
    for settings in ({"source": "sample"}, {"source": "hub", "dataset": "../x"}):
        with pytest.raises(gr.Error):
            look_at_data("food", settings, True)
    with pytest.raises(gr.Error, match="choose the source hub"):
        look_at_data("digits", {"source": "hub", "dataset": "mnist"}, True)
    with pytest.raises(gr.Error):
        look_at_data("food", {"source": "hub", "dataset": NAME}, False)

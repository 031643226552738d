"""What is found wrong with examples: each kind by an example that has it, and one that has not."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from meals import colours
from PIL import Image

from training.data.checks import findings, labels
from training.data.checks.look import Seen, Sight
from training.data.own import bring, corrections, inspect
from training.data.own.inspect import check_data_set, look_into


def photo(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Large shapes and small ones, no two pictures alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    fine = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    layers = [
        Image.fromarray(each).resize(size, Image.Resampling.BICUBIC) for each in (coarse, fine)
    ]
    return Image.blend(*layers, 0.3)


def save(folder: Path, name: str, picture: Image.Image, **more) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / name, **more)
    return folder / name


def album(folder: Path, classes: dict[str, int], seed: int = 0) -> Path:
    for label, count in classes.items():
        for i in range(count):
            seed += 1
            save(folder / label, f"{label}{i}.png", photo(seed))
    return folder


def check(runs: Path, folder: Path, name: str = "own") -> dict[str, findings.Finding]:
    found = check_data_set(bring.add(runs, name, [folder]).data_set)
    assert all(each.sentence.endswith(".") and str(runs) not in each.sentence for each in found)
    return {each.kind: each for each in found}


def test_good_data_has_nothing_wrong(runs, tmp_path):
    assert check(runs, album(tmp_path / "own", {"cat": 12, "dog": 9})) == {}


def test_names_that_read_alike_are_found_and_others_are_not(runs, tmp_path):
    folder = album(tmp_path / "own", {"hot-dog": 6, "Hot Dogs": 7, "C": 6, "C++": 6, "1.5": 6})
    (found,) = check(
        runs, album(folder, {"15": 6, "cat": 6, "class 1": 6, "class 2": 6}, 100)
    ).values()
    assert found.kind == "alike" and found.classes == ["Hot Dogs", "hot-dog"]
    assert found.suggested == {"hot-dog": "Hot Dogs"} and "merge" in found.actions


@pytest.mark.parametrize("change", ["format", "smaller", "larger", "crop", "all"])
def test_a_picture_that_was_saved_otherwise_is_the_same(runs, tmp_path, change):
    folder = album(tmp_path / "own", {"cat": 8, "dog": 8})
    one = Image.open(folder / "cat" / "cat3.png")
    kind = "jpg"
    if change in ("smaller", "all"):
        one = one.resize((70, 52))
    if change == "larger":
        one = one.resize((400, 300), Image.Resampling.LANCZOS)
    if change in ("crop", "all"):
        width, height = one.size
        one = one.crop((round(0.05 * width), 0, width, round(0.95 * height)))
    save(folder / "cat", f"again.{kind}", one, quality=60)
    found = check(runs, folder)
    assert set(found) == {"twice"} and found["twice"].count == 2
    names = {item.id: item.name for item in bring.find(runs, "own").list_items()}
    assert {names[each] for each in found["twice"].groups[0]} == {"cat3.png", "again.jpg"}
    assert "leave all but one out" in found["twice"].sentence and len(found["twice"].items) == 1


def test_the_same_under_two_labels_and_over_train_and_test(runs, tmp_path):
    folder = tmp_path / "own"
    album(folder / "train", {"cat": 8, "dog": 8})
    album(folder / "test", {"cat": 3, "dog": 3}, seed=100)
    copy = folder / "train" / "cat" / "cat1.png"
    (folder / "train" / "dog" / "mine.png").write_bytes(copy.read_bytes())
    leaked = folder / "test" / "dog" / "dog1.png"
    save(folder / "train" / "dog", "leaked.jpg", Image.open(leaked), quality=80)
    found = check(runs, folder)
    assert set(found) == {"two labels", "leak"}
    assert found["two labels"].actions[0] == "correct" and "under different labels" in str(found)
    items = {item.id: item for item in bring.find(runs, "own").list_items()}
    assert [items[each].split for each in found["leak"].items] == ["train"]


def test_what_cannot_be_read_is_told_by_kind_of_reason(runs, tmp_path):
    folder = album(tmp_path / "own", {"cat": 6, "dog": 6})
    whole = (folder / "cat" / "cat0.png").read_bytes()
    for i in range(3):
        (folder / "cat" / f"cut{i}.png").write_bytes(whole[: len(whole) // 2] + bytes([i]))
        (folder / "dog" / f"web{i}.png").write_bytes(f"<html>{i}".encode())
    found = check_data_set(bring.add(runs, "own", [folder]).data_set)
    assert [(each.kind, each.count) for each in found] == [("unreadable", 3)] * 2
    assert "cut0.png" in found[0].sentence and "a web page" in found[1].sentence


def test_few_uneven_tiny_and_blank(runs, tmp_path):
    folder = album(tmp_path / "own", {"cat": 40, "dog": 6, "emu": 3})
    save(folder / "cat", "blank.png", Image.new("RGB", (80, 60), "teal"))
    save(folder / "cat", "white.png", Image.new("L", (80, 60), 255))
    save(folder / "dog", "tiny.png", photo(900).resize((16, 12)))
    found = check(runs, folder)
    assert set(found) == {"few", "uneven", "tiny", "blank"} and found["few"].classes == ["emu"]
    assert found["uneven"].suggested == {"class_weights": "balanced"}
    assert found["blank"].count == 2 and found["tiny"].count == 1


def test_sounds_silent_clipped_short_and_the_same(runs, tmp_path):
    rng = np.random.default_rng(0)

    def call(seed: int, seconds: float = 1.5) -> np.ndarray:
        """A tone that wanders, with pauses: no two alike."""
        own = np.random.default_rng(seed)
        time = np.arange(int(16_000 * seconds)) / 16_000
        pitch = np.interp(time, np.linspace(0, seconds, 9), own.uniform(200, 3000, 9))
        loud = np.interp(time, np.linspace(0, seconds, 12), own.uniform(0, 0.5, 12))
        return loud * np.sin(np.cumsum(pitch) * 2 * np.pi / 16_000)

    folder = tmp_path / "own"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i in range(6):
            soundfile.write(folder / label / f"{i}.wav", call(i + 10 * (label == "dog")), 16_000)
    soundfile.write(folder / "cat" / "silent.wav", np.zeros(16_000), 16_000)
    loud = np.clip(6 * rng.normal(0, 0.4, 16_000), -1, 1)
    soundfile.write(folder / "cat" / "loud.wav", loud, 16_000, subtype="PCM_16")
    soundfile.write(folder / "cat" / "short.wav", call(77, 0.2), 16_000)
    again = np.concatenate([np.zeros(4000), call(3) * 0.5])
    soundfile.write(folder / "cat" / "again.mp3", again, 16_000)
    found = check(runs, folder)
    assert set(found) == {"silent", "clipped", "short", "twice"}
    names = {item.id: item.name for item in bring.find(runs, "own").list_items()}
    assert {names[each] for each in found["twice"].groups[0]} == {"3.wav", "again.mp3"}
    assert found["clipped"].sentence.startswith("1 clip is too loud")


def test_what_is_called_right_is_not_asked_about_again(runs, tmp_path):
    folder = album(tmp_path / "own", {"cat": 8, "dog": 8})
    save(folder / "cat", "blank.png", Image.new("RGB", (80, 60), "teal"))
    assert set(check(runs, folder)) == {"blank"}
    own = bring.find(runs, "own")
    blank = check_data_set(own)[0].items[0]
    corrections.confirm(own, blank)
    assert check_data_set(own) == []
    corrections.undo(own)
    corrections.leave_out(own, blank)
    assert check_data_set(own) == []


def test_pictures_that_are_alike_anyway_are_not_all_the_same():
    """Noise around three colours, in grey: what tells them apart is little."""
    rng = np.random.default_rng(0)
    base = rng.normal(120, 40, (40, 40))
    prints = (base + rng.normal(0, 14, (60, 40, 40))).clip(0, 255).astype(np.uint8)
    sights = [Sight(str(i), f"{i}.png", f"{i}.png", "a", "train", size=40) for i in range(60)]
    assert findings.find_same(Seen("pictures", sights, prints)) == []


# -- labels ----------------------------------------------------------------------------------------
def make_seen(count: int) -> Seen:
    sights = [Sight(str(i), "", "", "a", "train") for i in range(count)]
    return Seen("pictures", sights, np.zeros((count, 40, 40), np.uint8))


def test_labels_of_which_a_model_is_sure_of_another_one_come_first():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 400)
    logits = rng.normal(0, 1, (400, 4))
    logits[np.arange(400), truth] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    given = truth.copy()
    flipped = rng.choice(400, 20, replace=False)
    given[flipped] = (given[flipped] + 1 + rng.integers(0, 3, 20)) % 4
    order, taken = labels.rank_labels(given, probabilities)
    assert sorted(order) == list(range(400)) and len(set(order[:40]) & set(flipped)) >= 17
    (found,) = labels.find_wrong_labels(make_seen(400), list("abcd"), given, probabilities)
    right = [found.suggested[str(i)] == "abcd"[truth[i]] for i in flipped if str(i) in found.items]
    assert np.mean(right) > 0.9 and found.items[0] == str(order[0])
    known = {str(order[0])}
    (less,) = labels.find_wrong_labels(make_seen(400), list("abcd"), given, probabilities, known)
    assert less.items == found.items[1:]


def test_without_doubt_no_label_is_suspected():
    given = np.repeat(np.arange(3), 5)
    sure = np.eye(3)[given] * 0.9 + 0.03
    assert labels.find_wrong_labels(make_seen(15), list("abc"), given, sure) == []


def test_what_differs_from_all_else_is_found():
    rng = np.random.default_rng(0)
    directions = rng.normal(0, 1, (3, 16))
    features = np.repeat(directions, 30, axis=0) + rng.normal(0, 0.1, (90, 16))
    assert labels.rank_outliers(features).tolist() == []
    features[7] = -10 * directions.sum(0)
    assert labels.rank_outliers(features).tolist() == [7]
    (found,) = labels.tell_outliers(["7"])
    assert found.items == ["7"] and "differs from all others" in found.sentence


def test_a_check_after_a_correction_opens_only_what_is_new(runs, tmp_path, monkeypatch):
    found = bring.add(runs, "own", [album(tmp_path / "own", {"cat": 6, "dog": 6}, 500)]).data_set
    seen = look_into(found)
    opened: list[str] = []
    look_at = inspect.look_at
    monkeypatch.setattr(
        inspect,
        "look_at",
        lambda items, *more: opened.extend(item.id for item in items) or look_at(items, *more),
    )
    item = found.list_items()[0].id
    corrections.correct_label(found, item, "dog")
    (added,) = bring.add(
        runs, "own", [save(tmp_path / "more", "x.png", photo(999))], "cat", collected="webcam"
    ).items
    again = look_into(found)
    assert opened == [added]
    assert {sight.id: sight.label for sight in again.sights}[item] == "dog"
    order = {sight.id: i for i, sight in enumerate(seen.sights)}
    for i, sight in enumerate(again.sights):
        if sight.id != added:
            assert (again.prints[i] == seen.prints[order[sight.id]]).all()


def test_looking_can_be_cancelled(runs, tmp_path):
    own = bring.add(runs, "own", [colours(tmp_path / "own")]).data_set

    def stop(doing: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_into(own, stop)

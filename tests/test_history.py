"""The history: which runs it lists and how, names and notes, deleting and taking it back, comparing
several, and the form filled with what one was trained with."""

import dataclasses
import errno
import json
import os
import time

import gradio as gr
import pytest
from serving import ended_run, fresh_app

from demos import history, history_view, run_comparison
from demos.actions import Actions
from demos.form import fill_form
from demos.history_view import Wish
from demos.serving.lab import Lab
from demos.serving.landing import Landing
from training import recipe
from training.judge.records import ACCURACY, CIDER, Report, Score
from training.judge.report import write_report
from training.recipe import SettingsError
from training.runs import aside, checkpoint
from training.runs.about import LONGEST_NAME, LONGEST_NOTES
from training.runs.checkpoint import set_active
from training.runs.index import open_index
from training.runs.records import write_json
from training.runs.run import Run, lock


@pytest.fixture
def lab(runs, slots) -> Lab:
    return Lab(runs, slots)


def draw(lab: Lab, *wish: str, page: int = 0, chosen: str | None = None) -> str:
    return history_view.draw(lab, Wish(*wish), page, chosen)


def row(shown: str, run: Run) -> str:
    """What the list says of a run."""
    return shown.partition(f'<tr data-run="{run.id}"')[2].partition("</tr>")[0]


def listed(lab: Lab, *wish: str, page: int = 0) -> list[str]:
    return [entry.id for entry in history_view.list_runs(lab, Wish(*wish), page).entries]


def food(runs, **settings) -> Run:
    made = recipe.load("food").config
    config = dataclasses.asdict(recipe.parse(made, settings))
    run = Run.create(runs, "food", config, slot="food")
    run.set_status("done", seconds=75.0)
    return run


def score(run: Run, value: float = 0.8, data: str = "dishes", n: int = 100, metric=ACCURACY):
    after = Score(metric, value, (value - 0.05, value + 0.05), n)
    write_report(run, Report(metric, data, f"{n} pictures of {data}", after=after))
    return run


# -- the list --------------------------------------------------------------------------------------
def test_a_row_says_what_a_run_was_and_what_came_of_it(lab, runs):
    run = score(food(runs, source="own", dataset="dishes", method="frozen"))
    shown = row(draw(lab), run)
    for told in ("dishes, frozen", "Food", "Done", "80.0%", "75.0% to 85.0%", "n = 100", "75 s"):
        assert told in shown
    assert '<button type="button" class="open"' in shown, "the keyboard reaches it"


def test_what_is_in_use_is_marked_also_after_a_roll_back(lab, runs, slots):
    first, second = ended_run(runs, seed=1), ended_run(runs, seed=2)
    for run in (first, second):
        run.set_swap("offered", "why")
    actions = Actions(lab)
    for used in (first, second):
        actions.use(used.id)
    assert "In use" in row(draw(lab), second) and "Ready" in row(draw(lab), first)
    actions.roll_back("digits")
    assert "In use" in row(draw(lab), first) and "Ready" in row(draw(lab), second)
    assert listed(lab, "", "use") == [first.id]


def test_the_list_says_what_became_of_each_checkpoint(lab, runs):
    made = {}
    for outcome in ("kept", "offered", "swapped", "refused", "pending", "rolled back"):
        made[outcome] = Run.create(runs, "digits", {}, slot="digits")
        if outcome != "pending":
            made[outcome].set_swap("swapped" if outcome == "rolled back" else outcome, "why")
    set_active(runs, "digits", ["embedded-digits", made["swapped"].id])
    shown = draw(lab)
    told = {"kept": "Not used", "offered": "Ready", "swapped": "In use"}
    told |= {"refused": "Could not be loaded", "rolled back": "Was in use"}
    for outcome, words in told.items():
        assert words in row(shown, made[outcome])
    assert "<small" not in row(shown, made["pending"])
    odd = Run.create(runs, "digits", {}, slot="a slot of another version")
    set_active(runs, odd.slot, [odd.id])
    assert "In use" in row(draw(lab), odd)


def test_a_long_history_comes_in_pages(lab, runs, monkeypatch):
    monkeypatch.setattr(history_view, "SHOWN", 2)
    made = [Run.create(runs, "digits", {}).id for _ in range(5)][::-1]
    assert [listed(lab, page=page) for page in range(3)] == [made[:2], made[2:4], made[4:]]
    assert listed(lab, page=99) == made[4:] and listed(lab, page=-1) == made[:2]
    assert "Page 2 of 3" in draw(lab, page=1)


def test_runs_are_found_by_recipe_state_and_data(lab, runs):
    mine = food(runs, source="own", dataset="dishes")
    sample = food(runs)
    failed = Run.create(runs, "digits", {}, slot="digits")
    failed.set_status("lost")
    assert listed(lab, "food") == [sample.id, mine.id]
    assert listed(lab, "", "failed") == [failed.id] and listed(lab, "food", "failed") == []
    assert listed(lab, "", "", "dishes") == [mine.id]
    assert "dishes" in history_view.list_data(runs)
    assert "None of 3 runs is like that" in draw(lab, "food", "failed")
    assert "2 of 3 runs" in draw(lab, "food")
    assert listed(lab, "nonsense", "<b>", "x") == []


def test_an_empty_history_says_how_it_begins(lab, runs):
    assert "Start one above" in draw(lab)
    assert "Start one" not in draw(Lab(runs, {}, training=False))


def test_other_filters_begin_on_the_first_page():
    turned = json.dumps(["food", "", "", 3])
    assert history.read_turn(turned, Wish("food")) == 3
    assert history.read_turn(turned, Wish()) == 0
    for odd in ("", "{", "5", "{}", '["food", "", "", "3"]', "[" * 9999):
        assert history.read_turn(odd, Wish("food")) == 0


def test_the_page_asks_for_the_list_when_something_changed_and_not_before(runs):
    with fresh_app(runs) as page:
        named = {fn.api_name: fn for fn in page.fns.values()}
        look = named["look"].fn
        at = [block._id for block in named["look"].outputs].index(named["draw_list"].targets[0][0])

        def sign(seen: str) -> tuple[str, object]:
            values = look("", seen)
            return values[0], values[at]

        seen, first = sign("")
        assert isinstance(first, str) and not isinstance(sign(seen)[1], str)
        run = ended_run(runs)
        seen, second = sign(seen)
        assert isinstance(second, str) and second != first
        run.set_about("another", "")
        seen, third = sign(seen)
        assert isinstance(third, str) and third != second
        run.delete()
        shown = named["draw_list"].fn("", "", "", "", "")
        assert "No run yet." in shown[0]


# -- names and notes -------------------------------------------------------------------------------
def test_a_name_is_told_wherever_the_run_is_and_notes_beside_it(lab, runs):
    run = ended_run(runs)
    before = open_index(runs).version
    told = Actions(lab).rename(run.id, "  my <best>  run ", "two\nlines <b>")
    assert told["name"] == "my <best> run" and told["title"] == f"my <best> run · {run.id[-4:]}"
    assert open_index(runs).version != before, "every list is drawn anew"
    assert "my &lt;best&gt; run" in row(draw(lab), run) and "<best>" not in draw(lab)
    assert told["title"] in [each.name for each in checkpoint.list_checkpoints(runs, "digits")]
    shown = history_view.draw_chosen(run, training=True)
    assert "two\nlines &lt;b&gt;" in shown and "my &lt;best&gt; run" in shown
    assert "lines" not in history_view.draw_chosen(run, training=False), "a page of everybody's"
    assert Actions(lab).rename(run.id, "x")["notes"] == "two\nlines <b>", "they stay"
    assert "MNIST" in Actions(lab).rename(run.id, "")["title"] or not run.about["name"]


@pytest.mark.parametrize(
    "name, notes, words",
    [
        ("x" * (LONGEST_NAME + 1), "", "80 characters"),
        ("", "x" * (LONGEST_NOTES + 1), "2,000 characters"),
        ("a\x00b", "", "cannot be shown"),
        ("\ud800", "", "cannot be shown"),
        (["x"], "", "are texts"),
    ],
)
def test_names_and_notes_that_cannot_be_kept_are_refused(lab, runs, name, notes, words):
    run = ended_run(runs)
    with pytest.raises(gr.Error, match=words):
        Actions(lab).rename(run.id, name, notes)
    assert run.about == {}


@pytest.mark.parametrize("stored", ["{", "[]", '{"name": 5}', '{"name": "\\ud800"}'])
def test_damaged_notes_are_none_and_the_run_is_whole(lab, runs, stored):
    run = ended_run(runs)
    (run.path / "about.json").write_text(stored)
    assert run.state == "done" and run.about == {} and run.id in draw(lab)


# -- deleting --------------------------------------------------------------------------------------
def test_a_deleted_run_is_gone_at_once_and_comes_back_as_it_was(lab, runs):
    run = ended_run(runs, swap="never")
    run.set_about("dear", "notes")
    assert Actions(lab).delete(run.id)
    assert listed(lab) == [] and not run.path.exists() and Run.all(runs) == []
    shown = draw(lab)
    assert "dear" in shown and f'data-do="undo" data-run="{run.id}"' in shown
    assert "undo" not in draw(Lab(runs, {}, training=False))
    assert Actions(lab).bring_back(run.id) == run.id
    assert listed(lab) == [run.id] and run.has_checkpoint and run.about["notes"] == "notes"
    with pytest.raises(gr.Error, match="can no longer be brought back"):
        Actions(lab).bring_back(run.id)


def test_what_was_deleted_goes_after_a_while_and_at_once_where_space_is_wanted(lab, runs):
    kept, old, wanted = (ended_run(runs, seed=seed) for seed in range(3))
    for run in (kept, old):
        Actions(lab).delete(run.id)
    (gone,) = (each for each in aside.list_aside(runs) if each.id == old.id)
    since = int(time.time() - aside.KEPT - 1)
    os.rename(gone.path, gone.path.with_name(f"{since}-{old.id}"))
    Landing(lab).look()
    assert [each.id for each in aside.list_aside(runs)] == [kept.id]
    # One that was being removed by an app that ended in the midst of it.
    os.rename(wanted.path, runs / aside.HOME / f"{aside.GOING}{since}-{wanted.id}")
    Actions(lab).free()
    assert list((runs / aside.HOME).iterdir()) == []


def test_on_a_full_disk_a_deleted_run_makes_room(lab, runs, monkeypatch):
    run = ended_run(runs)

    rename = os.rename

    def refuse(source, target):
        if aside.HOME in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr("training.runs.aside.os.rename", refuse)
    assert not Actions(lab).delete(run.id)
    assert not run.path.exists() and aside.list_aside(runs) == []


def test_a_run_from_which_another_one_starts_stays(lab, runs):
    run = ended_run(runs)
    user = Run.create(runs, "digits", {"start": run.id, "teacher": ""}, slot="digits")
    with pytest.raises(gr.Error, match="is queued and starts from this model"):
        Actions(lab).delete(run.id)
    user.set_status("failed")
    assert Actions(lab).delete(run.id)


def test_a_linked_run_goes_by_its_name_and_comes_back(lab, runs, tmp_path):
    run = ended_run(runs)
    os.rename(run.path, tmp_path / "elsewhere")
    run.path.symlink_to(tmp_path / "elsewhere")
    Actions(lab).delete(run.id)
    Actions(lab).bring_back(run.id)
    assert run.state == "done"
    Actions(lab).delete(run.id)
    Actions(lab).free()
    assert (tmp_path / "elsewhere" / "config.json").exists()


def test_what_has_the_place_again_is_not_written_over(lab, runs):
    run = ended_run(runs)
    Actions(lab).delete(run.id)
    run.path.mkdir()
    with pytest.raises(SettingsError, match="There is a run"):
        aside.bring_back(runs, run.id)


@pytest.mark.parametrize(
    "act",
    [
        lambda a, r: a.rename(r, "x"),
        lambda a, r: a.bring_back(r),
        lambda a, r: a.free(),
    ],
)
def test_where_training_is_off_nothing_is_renamed_or_brought_back(runs, slots, act):
    run = ended_run(runs)
    gone = ended_run(runs, seed=2)
    with lock(runs):
        aside.put_aside(gone)
    with pytest.raises(gr.Error, match="Training is off here"):
        act(Actions(Lab(runs, slots, training=False)), run.id)
    assert run.about == {} and len(aside.list_aside(runs)) == 1


# -- comparing -------------------------------------------------------------------------------------
def test_runs_that_are_compared_differ_in_what_is_listed_and_in_nothing_else(runs):
    first = food(runs, source="own", dataset="dishes", epochs=3, name="a")
    second = food(runs, source="own", dataset="dishes", epochs=5, seed=1, name="b")
    rows = dict(run_comparison.list_differences([first, second]))
    assert rows == {"Epochs": ["3", "5"], "Seed": ["0", "1"]}
    solved = food(runs, source="own", dataset="dishes", method="frozen")
    rows = dict(run_comparison.list_differences([first, solved]))
    assert rows == {"Method": ["full", "frozen"]}, "what is usual where it counts is no difference"
    assert run_comparison.list_differences([first, first]) == []
    assert "with the same settings" in run_comparison.draw_differences({first.id: "a"}, [first])


def test_no_path_of_the_machine_is_told(runs):
    first = food(runs, source="folder", folder="/srv/secret/plates")
    second = food(runs, source="folder", folder="/srv/secret/pans", start="/srv/secret/model")
    rows = dict(run_comparison.list_differences([first, second]))
    assert rows["Folder"] == ["plates", "pans"] and "secret" not in str(rows)


def conclude(*runs: Run) -> str:
    text = run_comparison.compare(runs).text
    return text.partition("<h4>")[0]


def test_scores_are_comparable_on_the_same_examples_alone(runs):
    first, second = (score(food(runs, seed=seed), 0.5 + seed / 5) for seed in range(2))
    assert "All were tested on the same examples. The interval of the best" in conclude(
        first, second
    )
    near = score(food(runs), 0.52)
    assert "overlap: which is better may be chance" in conclude(first, near)
    other = score(food(runs), data="cakes")
    assert "not comparable: they were measured on different data sets" in conclude(first, other)
    fewer = score(food(runs), n=50)
    assert "other held-out examples" in conclude(first, fewer)
    told = conclude(first, near, fewer)
    assert "were tested on the same examples" in told and "The other scores are not" in told
    words = score(food(runs), metric=CIDER)
    assert "different measures" in conclude(first, words)
    assert "Fewer than two" in conclude(first, food(runs))


def test_curves_are_overlaid_by_name(runs):
    made = [food(runs, seed=seed) for seed in range(2)]
    for run in made:
        for step in (1, 2, 3):
            run.log(step=step, total=3, loss=1 / step, score=0.5)
    shown = run_comparison.compare([*made, food(runs, seed=7)])
    assert sorted(set(shown.loss["run"])) == sorted(list(shown.colours)[:2])
    assert len(shown.loss) == 6 and "no curves" not in shown.text
    assert "so there are no curves" in run_comparison.compare([food(runs), food(runs)]).text


def test_more_than_can_be_told_apart_are_not_compared_and_names_are_escaped(runs, old_runs):
    made = [food(runs, seed=seed, name="<i>") for seed in range(8)]
    shown = run_comparison.compare(made)
    assert "The first 6 of 8 runs are compared." in shown.text and "<i>" not in shown.text
    assert run_comparison.compare(made[:1]).text == ""
    old = Run.all(old_runs)
    assert "are not comparable" in run_comparison.compare(old[:6]).text
    (made[0].path / "config.json").write_text("{")
    assert "None of them" in run_comparison.compare(made[:2]).text


# -- run again -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def fill(tmp_path_factory):
    """Fills the form of food: its updates by the settings, and what is said."""
    with fresh_app(tmp_path_factory.mktemp("form") / "runs") as page:
        made = "set-food-"
        inputs = {
            str(block.elem_id).removeprefix(made): block
            for block in page.blocks.values()
            if str(getattr(block, "elem_id", "")).startswith(made)
        }

        def fill_in(config) -> tuple[dict[str, dict], list[str]]:
            updates, told = fill_form(recipe.load("food"), inputs, config)
            return dict(zip(inputs, updates, strict=True)), told

        yield fill_in


def test_the_form_is_filled_with_what_a_run_was_trained_with(fill, runs):
    run = food(
        runs, source="own", dataset="dishes", epochs=7, method="lora", name="mine", mixup=0.2
    )
    shown, told = fill(run.config)
    values = {name: update["value"] for name, update in shown.items()}
    assert values["epochs"] == 7 and values["method"] == "lora" and values["dataset"] == "dishes"
    assert values["name"] == "" and told == []
    assert shown["lora_rank"]["visible"] and not shown["keep"]["visible"]


def test_teachers_are_filled_in_one_by_one(fill, runs):
    run = food(runs, teacher="embedded,nobody/nothing")
    shown, told = fill(run.config)
    assert shown["teacher"]["value"] == ["embedded", "nobody/nothing"] and told == []


def test_what_the_form_cannot_show_is_said_and_no_path_is(fill, runs):
    run = food(runs, source="folder", folder="/srv/secret", start="/srv/secret/model")
    shown, told = fill({**run.config, "learning_rate": -1.0, "epochs": 9999})
    assert shown["source"]["value"] == "sample" and shown["start"]["value"] == "auto"
    assert shown["epochs"]["value"] == 3
    text = " ".join(told)
    assert "Folder was a path of this machine" in text and "Start from was a path" in text
    assert "Learning rate was “find”" in text and "Epochs was 9999" in text
    assert "secret" not in text + str(shown)


def test_a_run_is_started_again_from_the_page_as_it_was(runs):
    run = food(runs, epochs=4, seed=9)
    with fresh_app(runs) as page:
        (filled,) = (fn for fn in page.fns.values() if fn.name == "fill")
        chosen, *updates = filled.fn(run.id)
        assert chosen == "food" and len(filled.outputs) == 1 + len(updates)
        seeds = [
            update["value"]
            for block, update in zip(filled.outputs[1:], updates, strict=True)
            if block.elem_id == "set-food-seed"
        ]
        assert seeds == [9]
        write_json(run.path / "config.json", {"recipe": "gone", "config": {}})
        with pytest.raises(gr.Error, match="cannot be read by this version"):
            filled.fn(run.id)

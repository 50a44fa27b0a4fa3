"""From files to the report: read, find the cases, score every level that has what it needs, lay out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.explanations.calibration import calibrate
from eval.explanations.cases import Case, World, cases_of
from eval.explanations.controls import control_items, items_to_grade, sound_explanation
from eval.explanations.counterfactual import Faithful, Judging, run_trials, summarise
from eval.explanations.humans import Rating, marks_of, read_ratings
from eval.explanations.judges import Bench, Member, grade_all
from eval.explanations.overlap import TextEncoder, meteor_variant
from eval.explanations.panel_section import panel_section, quality_by_item
from eval.explanations.reading import Read
from eval.explanations.schema import LANGS, Explained, Key, Problem, read_judgements
from eval.explanations.scoring import (
    ScoredItem,
    claim_values,
    overlap_values,
    score_items,
    table,
    tested,
    twin_values,
    worst,
)
from eval.explanations.sections import (
    Report,
    Section,
    calibration_section,
    faithful_section,
    problems_section,
    systems_section,
    table_section,
    tests_section,
)
from eval.explanations.significance import compare
from eval.protocol import EvaluationError
from prompts.rubric import load_rubric

NO_JUDGE = "Not measured: give --counterfactuals N, with our judge, or another's function by --rerun module:function."
NO_PANEL = "Not measured: give --panel FILE with three or more endpoints, or --judge for the shipped model alone."


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything read in, before anything is scored."""

    items: tuple[Explained, ...]
    cases: Mapping[Key, Case]
    ratings: tuple[Rating, ...]
    problems: tuple[Problem, ...]

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(i.system for i in self.items if i.key in self.cases))


def gather(
    files: Sequence[Path], world: World, ratings: Sequence[Path] = (), extra: Sequence[Explained] = ()
) -> Inputs:
    """Read all files. Raises ``EvaluationError`` only where nothing at all can be scored."""
    judged = read_judgements(files)
    items = (*judged.items, *extra)
    cases, missing = cases_of(items, world)
    rated, bad = read_ratings(ratings)
    problems = [*judged.problems, *missing, *bad, *_silent(items), *_strangers(rated, items)]
    if not cases:
        why = f": {problems[0].where} {problems[0].what}" if problems else ""
        raise EvaluationError(f"none of the {len(items)} judgements can be scored{why}")
    return Inputs(items=items, cases=cases, ratings=tuple(rated), problems=tuple(problems))


def _silent(items: Sequence[Explained]) -> list[Problem]:
    """Systems without explanations, or without one of the languages."""
    found = []
    for system in dict.fromkeys(i.system for i in items):
        mine = [i for i in items if i.system == system]
        for lang, name in zip(LANGS, ("English", "Chinese"), strict=True):
            lack = sum(lang not in i.texts for i in mine)
            if lack:
                what = f"no {name} explanation in {lack} of {len(mine)} judgements; these are unscored there, not wrong"
                found.append(Problem(where=system, what=what))
    return found


def _strangers(ratings: Sequence[Rating], items: Sequence[Explained]) -> list[Problem]:
    known = {(i.system, *i.key, lang) for i in items for lang in i.texts}
    lost = {r.item for r in ratings} - known
    if not lost:
        return []
    what = (
        f"{len(lost)} rated explanations are in none of the files, such as {' / '.join(min(lost))}; they are left out"
    )
    return [Problem(where="ratings", what=what)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure beyond claims and twins."""

    encoder: TextEncoder | None = None
    judges: Sequence[Member] = ()
    judge_cases: int = 40
    """Cases that the judges grade, and that their controls are made from."""
    scales: Sequence[str] = ("correct", "complete", "clear", "useful")
    faithful: Mapping[str, Sequence[Faithful]] = field(default_factory=dict)
    reads: Mapping[str, Read] = field(default_factory=dict)
    seed: int = 0


def build(inputs: Inputs, options: Options, *, command: str, title: str = "Scored explanations") -> Report:
    """Score and lay out. The judges of ``options`` are asked here."""
    scored = score_items(inputs.items, inputs.cases, marks_of(inputs.ratings), options.reads)
    places = {key: case.location for key, case in inputs.cases.items()}
    systems = inputs.systems
    claims, twins = claim_values(scored), twin_values(scored)
    tests = compare(tested({**claims, **twins}), places, seed=options.seed)
    calibrations = [c for c in (calibrate(scored, s) for s in systems) if c is not None]
    sections = [
        systems_section(inputs.items, scored),
        problems_section(inputs.problems),
        table_section(table("1. Claim level", CLAIM_NOTE, claims, systems, places), systems),
        _faithful(options),
        table_section(table("3. Twin languages", TWIN_NOTE, twins, systems, places), systems),
        _judges(inputs, scored, options, systems),
        _overlap(scored, options, systems, places),
        tests_section(tests),
        calibration_section(calibrations),
    ]
    many = f"{len(scored)} judgements of {len(systems)} systems on {len(inputs.cases)} pairs"
    note = f"{many} at {len(set(places.values()))} locations."
    return Report(
        title=title,
        command=command,
        sections=[s for s in sections if s is not None],
        worst=worst([s for s in scored if not s.item.baseline]),
        notes=[note, "Percent with 95 % intervals by location (resampled whole), unless said otherwise."],
    )


CLAIM_NOTE = (
    "Each explanation's own claims are read back and checked against the description and the map, or people's marks "
    "where given. Precision: of what can be decided, the share that is neither contradicted nor invented. Borne out: "
    "of everything said firmly, the share that the map bears out. Recall: of the description's claims that the tile "
    "can decide, the share put where the tile puts them; 'against': of those that it contradicts. Wrong reason: of "
    "right verdicts, the share that rests on as much wrong as right, or more; any wrong reason: those with one that is "
    "wrong at all. Boxes: a system's own, against objects."
)
TWIN_NOTE = "Only judgements with both languages. 'twins alike': same claims, sides, polarity, names, numbers, verdict."


def _faithful(options: Options) -> Section:
    if options.faithful:
        return faithful_section(options.faithful)
    return Section(title="2. Faithfulness by counterfactual", text=[NO_JUDGE])


def _overlap(
    scored: Sequence[ScoredItem], options: Options, systems: Sequence[str], places: Mapping[Key, str]
) -> Section:
    title, values = "5. Overlap, for comparison with older papers only", overlap_values(scored, options.encoder)
    if not values:
        return Section(title=title, text=["No references were given, so there is nothing to be like."])
    note = f"Fluent wrong reasons score high here. METEOR: {meteor_variant()}. Encoder: {_encoder(options.encoder)}."
    return table_section(table(title, note, values, systems, places), systems)


def _encoder(encoder: TextEncoder | None) -> str:
    if encoder is None:
        return "none given, so no BERTScore or similarity"
    deaf = [lang for lang in LANGS if lang not in encoder.languages]
    unread = f"; it does not read {', '.join(deaf)}, where BERTScore and similarity are left out" if deaf else ""
    return f"{encoder.name}{unread}"


def _judges(inputs: Inputs, scored: Sequence[ScoredItem], options: Options, systems: Sequence[str]) -> Section:
    if not options.judges:
        return Section(title="4. Judges", text=[NO_PANEL])
    benches = asyncio.run(_grade(inputs, scored, options))
    known = [(s.item.system, s.item.key, lang, c.borne_out) for s in scored for lang, c in s.claims.items()]
    quality = quality_by_item({(system, key, lang): v for system, key, lang, v in known if v is not None})
    places = {key: case.location for key, case in inputs.cases.items()}
    return panel_section(benches, inputs.ratings, quality, load_rubric(), options.scales, systems, places)


async def _grade(inputs: Inputs, scored: Sequence[ScoredItem], options: Options) -> list[Bench]:
    cases = judged_by_most(inputs, options.judge_cases)
    keys = {c.key for c in cases}
    sound = {c.key: sound_explanation(c) for c in cases}
    items = [*items_to_grade([s for s in scored if s.item.key in keys]), *control_items(cases, sound)]
    benches = []
    for member in options.judges:
        try:
            benches.append(await grade_all(member, items, options.scales, load_rubric()))
        finally:
            await member.client.close()
    return benches


def judged_by_most(inputs: Inputs, n: int) -> list[Case]:
    """At most ``n`` cases: first those that the most systems judged, since systems are compared; :func:`spread`."""
    systems = Counter(key for key, _ in {(i.key, i.system) for i in inputs.items if i.key in inputs.cases})
    found: list[Case] = []
    for many in sorted(set(systems.values()), reverse=True):
        found += spread([case for key, case in inputs.cases.items() if systems[key] == many], n - len(found))
    return found


def spread(cases: Sequence[Case], n: int) -> list[Case]:
    """At most ``n`` cases, from as many locations as there are, in a fixed order."""
    seen: dict[str, int] = {}
    ranked = []
    for case in sorted(cases, key=lambda c: c.key):
        seen[case.location] = seen.get(case.location, 0) + 1
        ranked.append((seen[case.location], case.key, case))
    return [case for *_, case in sorted(ranked, key=lambda r: r[:2])[:n]]


def measure_faithfulness(
    inputs: Inputs, judges: Mapping[str, Judging], n: int, *, seed: int = 0
) -> tuple[dict[str, Sequence[Faithful]], list[Problem]]:
    """Level 2 on ``n`` cases for every judge by name.

    Pairs that are labelled no match are left out: what speaks against them already cannot be expected to fall.
    """
    meant = spread([c for c in inputs.cases.values() if c.label != "no_match"], n)
    found: dict[str, Sequence[Faithful]] = {}
    problems: list[Problem] = []
    for name, judging in judges.items():
        trials, missing = asyncio.run(run_trials(judging, meant, seed=seed))
        if trials:
            found[name] = summarise(trials, seed=seed)
        problems += missing
    return found, problems

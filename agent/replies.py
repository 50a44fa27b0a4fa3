"""What the desk says back, in English and Chinese: every sentence with what holds it, and none that nothing holds."""

from __future__ import annotations

from agent import phrasing, reasons
from agent.order_note import order_note
from agent.phrasing import VERDICTS, percent, say
from agent.state import Json, State
from agent.turns import Sentence, in_language
from prompts.clients.base import clip

_FIXED = {
    "unknown": (
        "I found nothing in that which I can search for or check; the candidates stay as they are.",
        "这句话里没有可以搜索或核对的内容，候选保持不变。",
    ),
    "emptied": (
        "With that nothing would be left to search for; the candidates stay as they are. Say something else first.",
        "这样就没有可搜索的内容了，候选保持不变。请先补充别的线索。",
    ),
    "restart": (
        "What was said before is set aside. Describe the new place: what can be seen from it?",
        "之前说的内容已清除。请描述新的地点：从那里能看到什么？",
    ),
    "noted": ("Noted: that cannot be told.", "已记下：这一点无法确定。"),
    "help": (
        "Add a clue, correct one or take one back; ask why this one, why not another, what tells two apart or what is "
        "uncertain; limit the search: north of the tracks, within 300 m of the cathedral, not on the river, between "
        "two things; ask for candidates elsewhere, or let me ask you; go back to an earlier turn; switch language or "
        "length; name this thread.",
        "可以补充、更正或撤回线索；可以问为什么是这个、为什么不是另一个、两者有何区别、哪些还不确定；"
        "可以限定范围：铁路以北、离大教堂300米以内、不在河边、两地之间；可以要别处的候选，或让我来提问；"
        "可以回到之前的某一轮；可以切换语言或长短；可以给这个对话命名。",
    ),
}


def respond(state: State, threads: list[Json] | None = None) -> State:
    """The reply to the turn in ``state["act"]``, from the result and its ledger alone."""
    sentences = compose(state, threads or [])
    length, spoken = state.get("length") or "usual", state.get("spoken") or "both"
    reply = phrasing.finished(sentences, length)
    said = in_language(reply, spoken)
    return {"reply": reply, "log": [{"turn": state["turn"], "who": "sightline", "text": said}]}


def compose(state: State, threads: list[Json]) -> list[Sentence]:
    """All sentences of the reply, long or short."""
    act, result = state["act"], state.get("result") or {}
    kind, ranks = act["kind"], act.get("ranks") or []
    last = [Sentence.from_json(s) for s in (state.get("reply") or {}).get("whole", [])]
    if kind in ("switch_language", "switch", "shorter", "longer"):
        return last or [say("Understood.", "好的。", level=0)]
    if kind in ("no_area", "which_area"):
        zh = act["zh"] if kind == "which_area" else f"无法限定范围：{act['zh']}。"
        return [say(act["en"], zh, "map", level=0)]
    if kind == "search":
        return [*found(state), *asks(state)]
    if kind in _FIXED:
        return [say(*_FIXED[kind], level=0), *(asks(state) if kind == "noted" else [])]
    if kind == "ask_me":
        nothing = ("No question is left that would tell the candidates apart.", "没有能区分这些候选的问题可问了。")
        return asks(state) or [say(*nothing, level=0)]
    if kind in ("name_thread", "list_threads", "no_turn"):
        return _about_threads(act, state, threads)
    if kind == "beyond":
        return [phrasing.no_such(act["rank"], len(result["candidates"]))]
    if kind == "why_not":
        return reasons.pair(result, 1, ranks[0] if ranks else 2)
    if kind == "compare":
        return reasons.pair(result, *(ranks if len(ranks) == 2 else (1, 2)))
    if kind == "uncertain":
        return [*reasons.uncertain(result), *asks(state)]
    if kind == "more_elsewhere":
        return reasons.elsewhere(result)
    return reasons.why(result, ranks[0] if ranks else 1)


def found(state: State) -> list[Sentence]:
    """The outcome of a search, and what it moved."""
    result = state["result"]
    best, note = result["candidates"][0], order_note(result["candidates"], result.get("gate"))
    tile, (en, zh), sure = best["tile_id"], VERDICTS[best["verdict"]], percent(best["confidence"])
    said = [
        say(
            f"First is {tile} at {best['lat']:.5f}, {best['lon']:.5f}: {en}, confidence {sure}.",
            f"第一位是 {tile}（{best['lat']:.5f}, {best['lon']:.5f}）：{zh}，置信度 {sure}。",
            f"judgement:{tile}", f"posterior:{tile}", level=0,
        ),
        *([note] if note else []),
        *_moved(best, state.get("before") or {}),
        *_limits(state),
        say(
            f"Outside this gallery: {percent(result['outside_probability'])}.",
            f"不在本图库内：{percent(result['outside_probability'])}。",
            "posterior:outside",
        ),
    ]  # fmt: skip
    if best["error"]:
        said.append(say(best["error"], f"（{best['error']}）", f"judgement:{tile}", level=0))
    if best["explanation_error"]:
        why = clip(best["explanation_error"], 80)
        en = f"The judge's own reasons could not be had ({why}); the template speaks"
        said.append(say(en, f"未能取得模型自己的理由（{why}），以下为模板文字。", f"judgement:{tile}"))
    said += [say(told, f"（{told}）", *(f"image:{sha}" for _, sha in state.get("images") or []), level=0)
             for told in state.get("notes") or []]  # fmt: skip
    return [*said, *(s for s in reasons.effects(result, best))]


def _moved(best: Json, before: Json) -> list[Sentence]:
    if not before:
        return []
    was = before["confidence"].get(best["tile_id"])
    first = before["first"]
    if first != best["tile_id"]:
        return [say(f"Before this turn the first was {first}.", f"此前第一位是 {first}。", f"before:{first}")]
    if was is None:
        return []
    return [say(f"Before this turn it had {percent(was)}.", f"此前为 {percent(was)}。", f"before:{first}")]


def _limits(state: State) -> list[Sentence]:
    limits = state.get("limits") or []
    if not limits:
        return []
    en, zh = "; ".join(limit["en"] for limit in limits), "；".join(limit["zh"] for limit in limits)
    cites = [f"limit:{n}" for n in range(1, len(limits) + 1)]
    return [say(f"Searched only {en}.", f"仅搜索：{zh}。", *cites)]


def asks(state: State) -> list[Sentence]:
    """The question that the desk puts, and why it puts it."""
    question = state.get("question")
    if not question:
        return []
    cite = f"question:{question['key']}"
    why = question["why"]
    return [say(question["en"], question["zh"], cite, level=0), say(why["en"], why["zh"], cite, level=1)]


def _about_threads(act: Json, state: State, threads: list[Json]) -> list[Sentence]:
    if act["kind"] == "name_thread":
        return [say(f"This thread is now called {act['title']!r}.", f"此对话现命名为“{act['title']}”。", level=0)]
    if act["kind"] == "no_turn":
        return [say("There is no such turn to go back to.", "没有可以返回的那一轮。", level=0)]
    if not threads:
        return [say("No threads are kept here.", "这里没有保存任何对话。", level=0)]
    en = "; ".join(f"{t['title']} ({t['id']}, {t['turns']} turns)" for t in threads)
    zh = "；".join(f"{t['title']}（{t['id']}，{t['turns']} 轮）" for t in threads)
    return [say(f"Threads: {en}", f"对话：{zh}。", level=0)]

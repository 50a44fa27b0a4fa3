"""Where the witness is: on a road that opens the text, in a square, at what 在 or "this is" names."""

from __future__ import annotations

import re

from prompts.claims_.carrying import ELIDED_ZH, Carrying
from prompts.claims_.groups import Group, is_street, put
from prompts.claims_.lexicon import lexicon
from prompts.claims_.marks import Place

_THIS = re.compile(r"这[条个]$|\bthis\s+(?:\w+\s+)?$", re.I)
_THIS_IS = re.compile(
    r"^\s*(?:it'?s|it\s+is|this\s+is|it\s+was|this\s+was)\s+(?:a|an|the)\s+(?:\w+\s+){0,3}$|^\s*(?:这里?|那里?)?(?:好像|应该)?是(?:一)?[条个]\s*[大小老窄]?$",
    re.I,
)
_GROUNDS = {
    "park",
    "square",
    "parking",
    "market",
    "cemetery",
    "playground",
    "pedestrian_street",
    "alley",
    "main_road",
    "street",
    "construction",
}
_OPENING = re.compile(
    r"\s*(?:(?:corner|bottom|top|end|foot|mouth|middle|start|side|edge)\s+of\s+)?"
    r"(?:(?:a|an|the|this|my|our)\s+)?(?:[\w-]+\s+){0,2}"
    r"|\s*(?:这是|这里是|是)?(?:一)?[条个]?[\s“「\"大小老窄很]*",
    re.I,
)
_THROUGH = re.compile(r"\b(?:through|in|inside|within|under)\s+(?:a|an|the|some)?\s*(?:\w+\s+)?$", re.I)
_MEETS = re.compile(
    r"\s*\bwhere\s+it\s+(?:meets|joins|crosses|hits|ends\s+at|opens\s+(?:on\s?to|into)|runs\s+into|comes\s+out\s+on)\b",
    re.I,
)
_AT_ZH = re.compile(
    r"(?:在|位于|地址(?:好像|应该|可能)?是)(?:(?:[负地下]*[一二三四五六七八九十\d]+|顶)[楼层]的?)?(?:一[个条家座栋间所处片]|这[个条家座]|那[个条家座]|[个条家座])?(?:[一-鿿]{0,5}的)?[\s“「\"大小老窄很]*$"
)

_ARRIVED_ZH = re.compile(
    r"(?:(?<![看见找听得遇碰想提走感收赶])到(?:达|了)?|走[到进上]了?|来到了?|赶到了?|跑到了?|开[到进上]了?|拐[进到]了?|转进了?|走在|踏上了?|上了|进了|(?<=[我正就])[站坐躺蹲])(?:一[个条家座栋间所处片]|这[个条家座]|那[个条家座]|[个条家座])?(?:[一-鿿]{0,4}的)?[\s“「\"大小老窄很]*$"
)
_STAYS_ZH = re.compile(r"(?:上面|上|里面|里头|里|内|下面|下|门口|边上|旁边?|口)?(?:了|啦|来了)?\s*(?:[，。,；;！!]|$)")
_MINE = re.compile(
    r"^\s*(?:and\s+)?(?:(?:my|our)\s+(?:building|house|place|block|hotel|flat|office|shop|store|street|road|terrace)|ours|mine)(?:'s|\s+is|\s+has)\s+(?:(?:the|a|an|only|one|all|painted)\b\s*)*"
    r"|^\s*(?:我们?家|咱家|我们?(?:那|这)?[栋幢]?楼|我们公司|我们学校)(?:就|也)?是(?:那|这|一)?[栋幢座个]?",
    re.I,
)
_IS_HERE = re.compile(
    r"\s*(?:[一-鿿]{0,6}说)?(?:这里|这儿|这边|此处|此地|这地方|这个地方)(?:就|好像|应该|其实)*(?:是|叫做?|名叫)(?:一?[条个座家栋间]|著名的)?[\s“「\"大小老窄]*"
    r"|\s*(?:我)?(?:在|到了?)?一个叫(?:做)?\s*|\s*(?:我们?)?这[个条座家栋间]?[大小老窄]?"
    r"|\s*(?:so\s+|and\s+)?(?:now|here)\s+(?:it'?s|it\s+is|i\s+have|we\s+have)\s+(?:a|an|the)\s+(?:\w+\s+){0,2}",
    re.I,
)
_THE = re.compile(r"\s*(?:the|this)\s+(?:\w+\s+)?", re.I)
_IS_SO_EN = re.compile(
    r"\s+(?:itself\s+)?(?:is|was|seems|looks)\s+(?!in\b|on\b|at\b|there\b|over\b|to\b|by\b|near\b)\w", re.I
)
_THE_ZH = re.compile(r"\s*(?:这[条个]?|整[条个])?[小大窄]?")
_IS_SO_ZH = re.compile(
    r"\s*is\b(?!\s+(?:on|in|at|behind|to)\b)|(?:子|上)?(?:很|好|挺|特别|非常|比较|只|又|窄|宽|直|弯|不)|(?:就)?是(?!不是|什么|哪)"
)
_INSIDE_ZH = re.compile(
    r"(?:的)?(?:里头|里面|里边|里|内|上面|上|底下|下面|下|外头|外面|外)(?:等|呢|吧)?\s*(?:[，。,；;！!]|$)"
)
_MEET_ZH = re.compile(
    r"(?:[一二三四五六七八九十\d]+楼|大堂|大厅|门口|外面|里面?)?(?:见面?|集合|碰头|碰面|等(?:你们?|我们?|您))\s*(?:[，。,；;！!吧啊]|$)"
)


def _undescribed(lead: str) -> str:
    """在一家意大利(餐厅) without the words that only describe the thing that follows."""
    words = lexicon().cues["zh_describe"]
    return next((lead.removesuffix(w) for w in words if len(w) > 1 and lead.endswith(w)), lead)


class Standing(Carrying):
    """The part of a clause that says where the witness is without a word for a direction."""

    def _at(self) -> None:
        """我在中央广场: no word says how the witness stands to it, so the witness is there.

        Alone in its sentence, a road is the one the witness is on.
        """
        if not self.groups or self.groups[0].place.settled or self.groups[0].by_self:
            return
        first = self.groups[0]
        if any(m.role == "dir" and self._anchor(m) is first for m in self.marks):
            return
        if self._opens(first):
            return
        if self._on_it(first) or self._own(first) or self._within(first):
            put(first.place, Place(type="here"))
            first.by_self = not first.road
            return
        self._located(first)

    def _located(self, first: Group) -> None:
        """我在中央广场, 走到步行街上了: all things of the clause that no verb parts from it."""
        before = _undescribed(self.text[self.clause.start : first.start])
        lead = _AT_ZH.search(before) or self._arrived(before, first)
        later = [g for g in self.groups[1:] if not self.between("verb", first.end, g.start)]
        if lead is None or len(later) < len(self.groups) - 1:
            return
        opens = ELIDED_ZH.match(lead.string[: lead.start() + 1])
        if opens or self.between("self", self.clause.start, first.start):
            for group in self.groups:
                if not group.place.settled:
                    put(group.place, Place(type="here"))
                    group.by_self = True

    def _arrived(self, before: str, first: Group) -> re.Match[str] | None:
        """我到人民路了, 走进一条死路: arrived, and not on the way to something else."""
        said = _ARRIVED_ZH.search(before)
        ends = _STAYS_ZH.match(self.text, self.groups[-1].end)
        return said if said and ends and not any(m.role == "dir" for m in self.marks) else None

    def _own(self, first: Group) -> bool:
        """ "My building's the grey one"; 这商场好大; 这里叫人民广场: said of where the witness is."""
        lead = self.text[self.clause.start : first.start]
        if any(m.role in ("dir", "neg") for m in self.marks):
            return False
        if mine := _MINE.match(self.text, self.clause.start, self.clause.end):
            for group in self.groups:
                if not group.place.settled and group.end > mine.end():
                    put(group.place, Place(type="here"))
            return True
        return bool(_IS_HERE.fullmatch(_undescribed(lead)) or self._this_place(first, lead))

    def _this_place(self, first: Group, lead: str) -> bool:
        """ "The square is not large", 巷子很窄: nobody would say so of one that is elsewhere."""
        value = first.members[0].value
        if value not in _GROUNDS and not first.road:
            return False
        told = _IS_SO_EN if _THE.fullmatch(lead) else _IS_SO_ZH if _THE_ZH.fullmatch(lead) else None
        return told is not None and bool(told.match(self.text, first.end))

    def _within(self, first: Group) -> bool:
        """滨海湾金沙里头，…: a clause that is nothing but the inside of a thing, before anything else was placed."""
        lead, last = self.text[self.clause.start : first.start], self.sentence.last
        if meets := _MEET_ZH.match(self.text, self.groups[-1].end):
            for group in self.groups:
                put(group.place, Place(type="here"))
            return bool(meets)
        if len(self.groups) > 1 or (last is not None and not last.by_self):
            return False
        return bool(ELIDED_ZH.match(lead) and _INSIDE_ZH.match(self.text, first.end))

    def _opens(self, first: Group) -> bool:
        """ "Footpath through a wood"; 中山路, 单行: a road that opens the text is the one the witness is on."""
        lead = self.text[self.clause.start : first.start]
        if self.sentence.last is not None:
            return self._meets(first, lead)
        if (
            self.sentence.prior is not None
            or not _OPENING.fullmatch(lead)
            or self.between("verb", self.clause.start, first.end)
        ):
            return False
        met = _MEETS.match(self.text, first.end)
        if not met and self._verbal():
            return False
        if all(m.kind == "junction" for m in first.members):
            first.by_self = True
        if not is_street(first) or any(m.role in ("dir", "dist") and m.end <= first.start for m in self.marks):
            return False
        put(first.place, Place(type="here"))
        first.by_self = True
        for group in self.groups[1:]:
            gap = self.text[first.end : group.start]
            if not group.place.settled and (_THROUGH.search(gap) or (met and is_street(group))):
                put(group.place, Place(type="here"))
        return True

    def _meets(self, first: Group, lead: str) -> bool:
        """ "Mill Lane, where it meets Hope Street": both are here."""
        last = self.sentence.last
        if last is None or last.place.type != "here" or not _MEETS.search(lead) or not is_street(first):
            return False
        put(first.place, Place(type="here"))
        first.by_self = True
        return True

    def _on_it(self, first: Group) -> bool:
        """ "It's a hospital car park."; 步行街。"""
        lead, mark = self.text[self.clause.start : first.start], first.members[-1]
        if mark.kind == "road" and _THIS.search(lead):
            return True
        if len(self.groups) > 1 or mark.value not in _GROUNDS or any(m.role in ("dir", "neg") for m in self.marks):
            return False
        alone = self.text[self.clause.start : self.clause.end].strip() == self.text[first.start : first.end]
        last = self.sentence.last
        first_said = last is None and self.sentence.prior is None and not self._verbal()
        if first_said and _OPENING.fullmatch(lead) and not self.text[first.end : self.clause.end].strip():
            return True
        goes_on = last is None or (last.by_self and last.place.type == "here")
        return bool(_THIS_IS.match(lead)) or (alone and mark.kind == "road" and goes_on)

"""How the desk looks: three zones on a wide screen, one pane at a time on a narrow one, light and dark."""

_DARK = """--page: #16181b; --card: #1e2125; --ink: #e9e9e6; --soft: #a9aeb6; --line: #383d44; --fill: #2a2e34;
  --focus: #86b5ff; --yes: #6ad08a; --no: #ff8f8a; --maybe: #f0c063; --pick: #86b5ff; --pick-ink: #10141a;
  --mine: #24344d; --hot: #b5541c; color-scheme: dark;"""

CSS = (
    """
:root { --mine: #e3ecfa; --hot: #ff9d4d; color-scheme: light; }
:root[data-theme="light"] { --page: #f6f6f3; --card: #ffffff; --ink: #1c1d1f; --soft: #5b5f66; --line: #d9dadd;
  --fill: #eeeeea; --focus: #1857b6; --yes: #0b6b2a; --no: #b3171c; --maybe: #7a5200; --pick: #1857b6;
  --pick-ink: #ffffff; --mine: #e3ecfa; --hot: #ff9d4d; color-scheme: light; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { """
    + _DARK
    + """ } }
:root[data-theme="dark"] { """
    + _DARK
    + """ }
body { font-size: 15px; }
.desk { display: flex; flex-direction: column; height: 100dvh; color: var(--ink); }
.desk h1, .desk h2, .desk h3 { margin: 0; line-height: 1.3; font-weight: 650; letter-spacing: 0; }
.desk h1 { font-size: 17px; } .desk h2 { font-size: 14px; } .desk h3 { font-size: 14px; }
.desk p { margin: 0; }
.desk .soft { font-size: 13px; color: var(--soft); } .desk .pad { padding: 10px 14px; }
.desk .grow { flex: 1; }
.desk .hidden { display: none !important; }
.desk button, .desk summary, .desk select { font: inherit; font-size: 14px; line-height: 1.3; min-height: 32px;
  padding: 4px 10px; cursor: pointer; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; box-sizing: border-box; }
.desk summary { display: inline-flex; align-items: center; gap: 5px; }
.desk button:hover, .desk summary:hover { background: var(--fill); }
.desk :is(button, summary, select, textarea, input, a, .leaf):focus-visible { outline: 3px solid var(--focus);
  outline-offset: 1px; }
.desk button[aria-pressed="true"]:not(.cand) { background: color-mix(in srgb, var(--pick) 16%, var(--card));
  border-color: var(--pick); font-weight: 600; }
.desk button.go { background: var(--pick); border-color: var(--pick); color: var(--pick-ink); font-weight: 600; }
.desk button.danger { background: var(--no); border-color: var(--no); color: var(--card); }
.desk button[disabled] { opacity: .38; cursor: default; }
.desk button.tiny { min-height: 28px; padding: 2px 8px; font-size: 13px; }
.desk kbd { font: 11px/1 ui-monospace, "DejaVu Sans Mono", monospace; border: 1px solid currentColor; opacity: .6;
  border-radius: 4px; padding: 1px 4px; margin-left: 6px; display: inline-block; }
.picks { display: flex; flex-wrap: wrap; gap: 6px; }

.desk-top { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; padding: 7px 14px;
  background: var(--card); border-bottom: 1px solid var(--line); }
.desk-top .thread-title { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  max-width: 38ch; min-width: 0; border-left: 1px solid var(--line); padding-left: 10px; }
.desk-tabs { display: none; }
.desk-main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(300px, 25%) minmax(0, 1fr); }
.pane { min-width: 0; }
.pane-top { display: flex; flex-wrap: wrap; gap: 6px 8px; align-items: center; padding: 8px 14px; min-height: 48px; }
.talk { display: flex; flex-direction: column; min-height: 0; background: var(--card);
  border-right: 1px solid var(--line); }
.field { overflow-y: auto; display: grid; grid-template-columns: minmax(0, 1fr) minmax(270px, 330px);
  grid-template-rows: max(340px, 47vh) auto; align-content: start; }
.field .map { display: flex; flex-direction: column; }
.field .map, .field .cards { min-height: 0; } .field .cards { border-left: 1px solid var(--line); overflow-y: auto; }
.field .look { grid-column: 1 / -1; border-top: 1px solid var(--line); }

.log { flex: 1; overflow-y: auto; padding: 14px; display: flex; flex-direction: column; gap: 10px; }
.now { display: flex; flex-direction: column; gap: 10px; } .now:empty { display: none; }
.mine { align-self: flex-end; max-width: 88%; background: var(--mine); border-radius: 10px 10px 2px 10px;
  padding: 8px 12px; position: relative; }
.now .mine { align-self: flex-end; }
.mine .did { font-size: 14px; color: var(--soft); }
.theirs { align-self: stretch; padding: 2px 2px 8px; } .theirs .lead { font-weight: 600; margin-bottom: 4px; }
.past { display: none; gap: 6px; margin-top: 6px; flex-wrap: wrap; }
.mine:hover .past, .mine:focus-within .past { display: flex; }
.desk .past button { min-height: 26px; font-size: 12px; padding: 1px 8px; }
@media (hover: none) { .past { display: flex; } }
.welcome { margin: auto 0; padding: 10px 4px; } .welcome .big { font-size: 19px; font-weight: 600; line-height: 1.35;
  margin-bottom: 8px; }
.progress { display: flex; gap: 8px; align-items: center; font-weight: 600; }
.spinner { width: 14px; height: 14px; border: 2px solid var(--line); border-top-color: var(--pick); border-radius: 50%;
  animation: turn 0.9s linear infinite; flex: none; }
@keyframes turn { to { transform: rotate(1turn); } }
@media (prefers-reduced-motion: reduce) { .spinner { animation: none; } }
.done { margin: 6px 0 8px; padding-left: 22px; color: var(--soft); font-size: 13px; list-style: "✓ "; }
.problem { border: 1px solid var(--no); border-left-width: 4px; border-radius: 6px; padding: 8px 12px; display: grid;
  gap: 4px; justify-items: start; background: color-mix(in srgb, var(--no) 6%, var(--card)); }
.problem.mild { border-color: var(--maybe); background: color-mix(in srgb, var(--maybe) 6%, var(--card)); }
.cards .problem { margin: 0 10px 8px; font-size: 13px; }
.remark { color: var(--soft); font-size: 13px; }
.asks { border-top: 1px solid var(--line); padding: 10px 14px; display: grid; gap: 6px;
  background: color-mix(in srgb, var(--pick) 5%, var(--card)); }
.composer { border-top: 1px solid var(--line); padding: 8px 14px 10px; }
.composer .write { border: 1px solid var(--line); border-radius: 8px; padding: 0 10px; background: var(--page); }
.composer .write:focus-within { border-color: var(--focus); box-shadow: 0 0 0 1px var(--focus); }
.desk .q-field__native, .desk .q-field__input { color: var(--ink) !important; font-size: 15px; line-height: 1.5;
  outline: 0 !important; }
.desk .q-field__control { color: var(--focus); } .composer textarea { max-height: 30vh; min-height: 52px; }
.desk .q-placeholder::placeholder { color: var(--soft); opacity: 1; }
.tools { display: flex; gap: 6px; align-items: center; margin-top: 8px; }

.menu { position: relative; } .menu > summary { list-style: none; }
.menu > summary::-webkit-details-marker { display: none; }
.menu { display: flex; } .menu > summary::after { content: "▾"; color: var(--soft); }
.menu.up > summary::after { content: "▴"; }
.menu-list { position: absolute; z-index: 1200; top: calc(100% + 4px); right: 0; min-width: 190px; display: grid;
  gap: 4px; padding: 8px; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  box-shadow: 0 6px 24px rgb(0 0 0 / .22); }
.menu.up .menu-list { top: auto; bottom: calc(100% + 4px); right: auto; left: 0; }
.menu-list > button { text-align: left; border-color: transparent; }

.leaf { flex: 1; min-height: 240px; width: 100%; background: var(--fill) !important; z-index: 0; }
.leaf .leaflet-draw { display: none; }
:root[data-theme="dark"] .leaf .leaflet-tile-pane { filter: brightness(.82) saturate(.9); }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) .leaf .leaflet-tile-pane {
  filter: brightness(.82) saturate(.9); } }
.leaf .rank-label { font: 650 13px/1 system-ui, sans-serif; color: #fff; background: #10305f; border: 1px solid #fff;
  border-radius: 50%; width: 22px; height: 22px; padding: 0; display: grid; place-items: center; box-shadow: none; }
.leaf .rank-label::before { display: none; }
.map-foot { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center; padding: 6px 14px; min-height: 40px; }
.legend { display: flex; gap: 6px; align-items: center; font-size: 13px; color: var(--soft); }
.legend i { width: 90px; height: 10px; border-radius: 5px; border: 1px solid var(--line);
  background: linear-gradient(90deg, transparent, #ffe26e 20%, #fd9628 45%, #de2d26 75%, #780028); }
.limit { font-size: 13px; font-weight: 600; }

.cand { display: grid; grid-template-columns: 56px minmax(0, 1fr); gap: 10px; width: 100%; text-align: left;
  border-radius: 0; border-width: 0 0 0 4px; border-color: transparent; background: none; padding: 9px 12px 9px 10px;
  align-items: start; }
.desk button.cand { border-color: transparent; border-width: 0 0 0 4px; border-radius: 0; padding: 9px 12px 9px 10px; }
.desk button.cand[aria-pressed="true"] { border-color: var(--pick);
  background: color-mix(in srgb, var(--pick) 9%, var(--card)); }
.desk button.cand.second { border-color: var(--soft); }
.thumb { width: 56px; height: 56px; border-radius: 4px; border: 1px solid var(--line); background: var(--fill);
  object-fit: cover; display: grid; place-items: center; }
.cand-main { display: grid; gap: 4px; min-width: 0; }
.cand-head { display: flex; flex-wrap: wrap; gap: 4px 8px; align-items: center; }
.rank { min-width: 1.3em; font-size: 15px; } .p { font-weight: 650; font-variant-numeric: tabular-nums; }
.chip { font-size: 13px; font-weight: 600; border: 1px solid currentColor; border-radius: 10px; padding: 0 8px;
  white-space: nowrap; }
.chip.soft { color: var(--soft); }
.moved { font-size: 12px; font-variant-numeric: tabular-nums; }
.meter { display: block; height: 5px; border-radius: 3px; background: var(--fill); overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--pick); }
.reason { font-size: 13px; line-height: 1.45; overflow-wrap: anywhere; display: -webkit-box; -webkit-line-clamp: 3;
  -webkit-box-orient: vertical; overflow: hidden; }
.cand.wait { opacity: .85; border-left-color: var(--line); }
.rest { border-top: 1px solid var(--line); } .desk .rest > summary { border: 0; width: 100%; color: var(--soft);
  background: none; border-radius: 0; padding: 8px 14px; }
.nowhere { border-top: 1px solid var(--line); padding: 10px 14px; display: grid; gap: 4px 10px;
  grid-template-columns: auto minmax(40px, 1fr) auto; align-items: center; font-size: 13px; }
.nowhere p { grid-column: 1 / -1; }

.evidence { display: grid; gap: 6px 18px; padding: 0 14px 18px; align-items: start;
  grid-template-columns: minmax(260px, 5fr) minmax(0, 7fr); }
.evidence.n2 { grid-template-columns: minmax(0, 1fr); }
.tiles { display: grid; gap: 14px; } .n2 .tiles { grid-template-columns: repeat(2, minmax(0, 400px)); }
.tile-card { margin: 0; display: grid; gap: 8px; align-content: start; }
.coords { user-select: all; }
.picture { position: relative; border-radius: 6px; overflow: hidden; border: 1px solid var(--line);
  background: var(--fill); }
.picture img { display: block; width: 100%; height: auto; }
.frame { position: absolute; border: 2px solid #0f8a34; box-shadow: 0 0 0 1px #fff, inset 0 0 0 1px #fff;
  border-radius: 2px; }
.frame.contradicts { border: 2px dashed #cf1f1f; }
.frame span { position: absolute; left: -2px; bottom: 100%; font: 650 11px/1.3 system-ui, sans-serif; color: #fff;
  background: #0f8a34; padding: 0 4px; border-radius: 3px 3px 0 0; }
.frame.contradicts span { background: #cf1f1f; }
.frame.lit { border-width: 4px; z-index: 2; box-shadow: 0 0 0 2px #fff, 0 0 0 4px #1857b6; }
.heat-words { line-height: 1.7; overflow-wrap: anywhere; } .heat-words span { border-radius: 3px;
  white-space: pre-wrap; }
.book-top { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; margin-bottom: 6px; }
.ledger { width: 100%; border-collapse: collapse; font-size: 14px; }
.ledger th { text-align: left; font-size: 13px; font-weight: 600; color: var(--soft); padding: 4px 6px;
  border-bottom: 1px solid var(--line); }
.ledger td { padding: 6px; border-bottom: 1px solid var(--line); vertical-align: top; }
.ledger tr.at td { background: color-mix(in srgb, var(--focus) 7%, var(--card)); }
.ledger tr.at td:first-child { box-shadow: inset 3px 0 0 var(--focus); }
.ledger .id { width: 1%; white-space: nowrap; } .ledger .words { overflow-wrap: anywhere; }
.ledger .phrase { font-weight: 600; } .ledger .phrase.gone { font-weight: 400; }
.ledger .span { display: block; color: var(--soft); font-size: 13px; }
.flag { font-size: 12px; color: var(--maybe); border: 1px solid currentColor; border-radius: 8px; padding: 0 6px;
  margin-left: 6px; white-space: nowrap; }
.ledger .mark, .ledger .effect { white-space: nowrap; font-variant-numeric: tabular-nums; }
.sign { display: flex; gap: 4px; align-items: baseline; font-weight: 650; line-height: 1.45; }
.sign small { font-weight: 400; font-size: 11px; color: var(--soft); }
.ledger .words { min-width: 150px; } .ledger .acts { min-width: 148px; text-align: right; padding-right: 0; }
.ledger .acts button { margin: 0 0 4px 4px; min-height: 28px; padding: 2px 8px; font-size: 13px; }
.beside { display: flex; gap: 6px; align-items: center; font-size: 13px; }
.edit-claim { width: 100%; margin-bottom: 6px; }

.drawer.desk { height: auto; display: block; max-width: 620px; width: min(620px, 94vw); max-height: 86dvh;
  overflow-y: auto; background: var(--card); border-radius: 10px; padding: 6px 16px 18px; }
.drawer .pane-top { padding: 8px 0; }
.thread { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; padding: 8px 10px;
  border-top: 1px solid var(--line); }
.thread.here { background: color-mix(in srgb, var(--focus) 8%, var(--card)); }
.thread .what { flex: 1; min-width: 160px; } .thread .name { font-weight: 600; overflow-wrap: anywhere; }
.gate { max-width: 460px; padding-top: 12vh; } .gate form { display: grid; gap: 10px; }
.gate input { font: inherit; padding: 8px; border: 1px solid var(--line); border-radius: 6px; background: var(--page);
  color: var(--ink); }

@media (max-width: 1180px) { .wide-only { display: none; } .evidence { grid-template-columns: minmax(0, 1fr); }
  .evidence:not(.n2) .picture { max-width: 560px; } }
@media (max-width: 900px) {
  .desk-main { display: block; overflow: hidden; } .field { display: contents; }
  .desk-tabs { display: grid; grid-template-columns: repeat(4, 1fr); background: var(--card);
    border-bottom: 1px solid var(--line); }
  .desk .desk-tabs button { border: 0; border-radius: 0; border-bottom: 3px solid transparent; min-height: 42px;
    padding: 4px 2px; }
  .desk .desk-tabs button[aria-pressed="true"] { background: none; border-bottom-color: var(--pick); }
  .desk .pane { display: none; height: 100%; overflow-y: auto; border: 0; }
  .desk.show-talk .talk, .desk.show-map .map { display: flex; flex-direction: column; }
  .desk.show-cards .cards, .desk.show-look .look { display: block; }
  .desk-top { padding: 6px 10px; gap: 6px; } .desk-top h1 { display: none; }
  .desk .desk-top :is(button, summary) { font-size: 13px; padding: 4px 8px; min-height: 36px; }
  .desk-top .thread-title { max-width: 100%; order: 9; flex-basis: 100%;
    border: 0; padding: 0; font-size: 13px; } .desk-top .gallery { display: none; }
  .desk kbd { display: none; } .n2 .tiles { grid-template-columns: minmax(0, 1fr); }
  .ledger thead { display: none; } .ledger, .ledger tbody { display: block; }
  .ledger tr { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; padding: 6px 0;
    border-bottom: 1px solid var(--line); }
  .ledger td { border: 0; padding: 2px 6px; } .ledger .words { grid-column: 2 / 4; }
  .ledger .mark { grid-column: 2; } .ledger .mark::before { content: attr(data-label) ": "; color: var(--soft); }
  .ledger .effect { grid-column: 3; } .ledger .acts { grid-column: 2 / 4; text-align: left; white-space: normal; }
  .ledger .acts button { margin: 0 4px 4px 0; min-height: 36px; }
}
"""
)

"""How the pages look: one column on a phone, two on a desk, light or dark as the reader's system is set."""

CSS = """
:root { --page: #f6f6f3; --card: #ffffff; --ink: #1c1d1f; --soft: #5b5f66; --line: #d9dadd; --fill: #eeeeea;
  --focus: #1857b6; --yes: #0b6b2a; --no: #b3171c; --maybe: #7a5200; --pick: #1857b6; --pick-ink: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --card: #202327; --ink: #e9e9e6; --soft: #a9aeb6;
  --line: #3b4047; --fill: #2b2f35; --focus: #86b5ff; --yes: #6ad08a; --no: #ff8f8a; --maybe: #f0c063; --pick: #86b5ff;
  --pick-ink: #10141a; } }
html, body { background: var(--page); color: var(--ink); }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC",
  "Microsoft YaHei", sans-serif; }
.nicegui-content { display: block; padding: 0; }
.sheet { max-width: 1180px; margin: 0 auto; padding: 12px 20px 40px; }
.top { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; border-bottom: 1px solid var(--line);
  padding: 4px 0 10px; margin-bottom: 14px; }
.top h1 { font-size: 18px; font-weight: 650; line-height: 1.3; margin: 0; }
.top .grow { flex: 1; }
.soft { color: var(--soft); font-size: 14px; margin: 0; } p.soft { margin-top: 8px; }
.bar { height: 4px; background: var(--fill); border-radius: 2px; width: 120px; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--pick); }
.two { display: grid; grid-template-columns: minmax(280px, 5fr) minmax(320px, 6fr); gap: 20px; align-items: start; }
.stay { position: sticky; top: 12px; }
@media (max-width: 820px) { .two { grid-template-columns: minmax(0, 1fr); } .stay { position: static; }
  .sheet { padding: 8px 12px 32px; } }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px;
  margin-bottom: 14px; }
.card h2 { font-size: 13px; font-weight: 650; line-height: 1.4; color: var(--soft); margin: 0 0 6px; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.verdict { font-weight: 650; margin: 0 0 4px; }
img.tile { width: 100%; max-width: 640px; height: auto; display: block; border-radius: 6px;
  border: 1px solid var(--line); background: var(--fill); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 10px; }
.rows { display: grid; gap: 6px; }
.row-card { border: 1px solid var(--line); border-left-width: 4px; border-radius: 6px; padding: 7px 10px;
  display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 4px 12px; align-items: center; scroll-margin: 80px; }
.row-card.tall { grid-template-columns: minmax(0, 1fr); }
.row-card.at { border-left-color: var(--focus); background: color-mix(in srgb, var(--focus) 7%, var(--card)); }
@media (max-width: 560px) { .row-card { grid-template-columns: minmax(0, 1fr); } }
.row-card .what { overflow-wrap: anywhere; }
.picks { display: flex; flex-wrap: wrap; gap: 6px; }
.sheet button { font: inherit; font-size: 15px; line-height: 1.3; min-height: 36px; padding: 4px 11px; cursor: pointer;
  color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
.sheet button:hover { background: var(--fill); }
.sheet button:focus-visible, .sheet textarea:focus-visible, .sheet a:focus-visible { outline: 3px solid var(--focus);
  outline-offset: 1px; }
.sheet button[aria-pressed="true"] { background: var(--pick); border-color: var(--pick); color: var(--pick-ink);
  font-weight: 600; }
.sheet button.go { background: var(--pick); border-color: var(--pick); color: var(--pick-ink); font-weight: 600; }
.sheet button[disabled] { opacity: .5; cursor: default; }
.sheet kbd { font: 12px/1 ui-monospace, "DejaVu Sans Mono", monospace; border: 1px solid currentColor; opacity: .75;
  border-radius: 4px; padding: 1px 4px; margin-left: 6px; display: inline-block; min-width: 1.6em; text-align: center; }
.steps { position: sticky; bottom: 0; background: var(--page); border-top: 1px solid var(--line); padding: 10px 0; }
.foot { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; }
.keys { display: grid; grid-template-columns: auto 1fr; gap: 6px 14px; align-items: baseline; margin: 0; }
.keys dd { margin: 0; } .keys dt kbd { margin: 0 3px 0 0; font-size: 13px; padding: 3px 6px; }
.note { color: var(--no); } .yes { color: var(--yes); } .no { color: var(--no); } .maybe { color: var(--maybe); }
.sheet textarea { width: 100%; min-height: 110px; font: inherit; color: var(--ink); background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; padding: 8px; }
.sheet .q-field textarea { border: 0; background: none; min-height: 84px; padding: 6px 0; outline: 0; }
.gone { text-decoration: line-through; color: var(--soft); }
.hidden-now { display: none !important; }
.said-by { border-top: 1px solid var(--line); padding-top: 6px; margin-top: 6px; }
"""

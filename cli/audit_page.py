"""Render an audit report as one self-contained HTML page."""

from __future__ import annotations

from html import escape

from ..schema.audit import AuditReport, Finding, LevelReport, SegmentReplay
from ..schema.printable import printable
from .audit_text import beside, closing, replayed, share, shown

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
code { font: 0.85em ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: 1.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.45rem 0.7rem;
  border-bottom: 1px solid #d8dee4; }
.verdict { font-weight: 600; white-space: nowrap; }
.identical { color: #116329; } .equivalent { color: #0550ae; } .diverged { color: #a40e26; }
.unverifiable { color: #7d4e00; } .not-run { color: #6e7781; }
h1 { font-size: 1.5rem; } dt { font-weight: 600; } dd { margin: 0 0 0.5rem; }
"""
SHOWN = 50


def page(report: AuditReport) -> str:
    """Return the page; every word of the run is escaped."""
    rows = "\n".join(_row(level) for level in report.levels)
    first = report.first_diverged()
    found = _findings(first) if first else ""
    verdict = "".join(f"<p>{escape(line)}</p>" for line in closing(report))
    replays = "\n".join(map(_replay, report.replays))
    title = f"Audit of {escape(report.recipe)}"
    return printable(f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>
<h1>{title}: <span class="{_class(report.verdict)}">{escape(report.verdict)}</span></h1>
<dl><dt>Run</dt><dd>{escape(report.subject)}</dd>
<dt>Recipe hash</dt><dd><code>{escape(report.recipe_hash)}</code></dd>
<dt>Result hash</dt><dd><code>{escape(report.result_hash)}</code></dd></dl>
<table><thead><tr><th>Level</th><th>Verdict</th><th>Basis</th></tr></thead>
<tbody>
{rows}
</tbody></table>
{found}
{replays}
{verdict}
{_claimed(report)}
</body></html>
""")


def _row(level: LevelReport) -> str:
    return (
        f"<tr><th>{escape(level.level)}</th>"
        f'<td class="verdict {_class(level.verdict)}">{escape(level.verdict)}</td>'
        f"<td>{escape(beside(level))}</td></tr>"
    )


def _replay(replay: SegmentReplay) -> str:
    """Return the segments that were executed again, and what such a draw finds."""
    drawn, *rest = replayed(replay)
    lines = "".join(f"<p>{escape(line.strip())}</p>" for line in (drawn, *rest[:2]))
    segments = "".join(
        f"<tr><td>{one.segment}</td><td>{one.first}-{one.last}</td>"
        f"<td>{'drawn' if one.because == 'drawn' else 'the adapter comes out of it'}</td>"
        f'<td class="verdict {_class(one.verdict)}">{escape(one.verdict)}</td>'
        f"<td>{share(one)}</td></tr>"
        for one in replay.replayed
    )
    odds = "".join(
        f"<tr><td>{one.forged} of {replay.segments}</td><td>{one.probability:.3f}</td></tr>"
        for one in replay.odds[:SHOWN]
    )
    return (
        f"<h2>Segments of {escape(replay.step)} executed again</h2>{lines}"
        "<table><thead><tr><th>Segment</th><th>Training steps</th><th>Why</th><th>Verdict</th>"
        "<th>Distance, relative to the update</th></tr>"
        f"</thead><tbody>{segments}</tbody></table>"
        "<table><thead><tr><th>Had so many been forged</th><th>one would have been found with "
        f"probability</th></tr></thead><tbody>{odds}</tbody></table>"
    )


def _claimed(report: AuditReport) -> str:
    """Return what the run only claims: fields that no hash binds, by kind, and figures."""
    claims = {**report.claimed, "figures": report.claimed_figures()}
    rows = "".join(
        f"<tr><th>{escape(what)}</th><td>{escape(', '.join(names))}</td></tr>"
        for what, names in claims.items()
        if names
    )
    return f"<h2>Claimed by the run, derived from nothing</h2><table>{rows}</table>" if rows else ""


def _findings(level: LevelReport) -> str:
    rows = "\n".join(map(_finding, level.findings[:SHOWN]))
    more = len(level.findings) - SHOWN
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return (
        f"<h2>What differs at {escape(level.level)}</h2>\n<table><thead><tr><th>Place</th>"
        f"<th>Claimed</th><th>Derived</th></tr></thead><tbody>\n{rows}\n</tbody></table>{rest}"
    )


def _finding(finding: Finding) -> str:
    cells = [finding.where(), shown(finding.claimed), shown(finding.derived)]
    return "<tr>" + "".join(f"<td><code>{escape(cell)}</code></td>" for cell in cells) + "</tr>"


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")

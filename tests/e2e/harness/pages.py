"""What the documentation shows, taken out of its pages: commands, configurations, outputs.

A fenced block says what it is behind its fence: ```yaml NAME is a whole configuration that `adit check`
accepts (NAME: the file that commands of that page mean; it may be left out); ```console shows commands
behind "$ " with exactly what they print; ```log shows lines of a log. Every line of code that begins with
"adit " is a command; a backslash at its end continues it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str       # the word behind the fence; "" for indented code
    name: str       # the word behind that
    text: str
    heading: str    # the last one above it

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    block: Block
    words: tuple[str, ...]
    output: str     # of a console, what it prints

    def __str__(self) -> str:
        return f"{self.block}-{' '.join(self.words)[:40]}"

    @property
    def args(self) -> list[str]:
        return list(self.words[1:])


def pages() -> list[Path]:
    """The pages for people who use or change adit, but for the reference, which is generated."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]
    return sorted(p for p in found if p.name != "reference.md")


def blocks_of(page: Path) -> Iterator[Block]:
    name, heading, fence, lines = page.relative_to(ROOT).as_posix(), "", None, []
    begin = 0
    for number, line in enumerate([*page.read_text().splitlines(), ""], 1):
        if fence is not None:
            if line.startswith("```"):
                kind, _, title = fence.partition(" ")
                yield Block(name, begin, kind, title, "\n".join(lines) + "\n", heading)
                fence, lines = None, []
            else:
                lines.append(line)
        elif line.startswith("```"):
            fence, begin = line[3:].strip(), number + 1
        elif line.startswith("    "):
            begin = begin if lines else number
            lines.append(line[4:])
        else:
            if lines:
                yield Block(name, begin, "", "", "\n".join(lines) + "\n", heading)
                lines = []
            if line.startswith("#"):
                heading = line.lstrip("# ")


def blocks(kind: str) -> list[Block]:
    return [b for p in pages() for b in blocks_of(p) if b.kind == kind]


def commands_in(block: Block) -> Iterator[Command]:
    text = re.sub(r"\\\n\s*", "", block.text)
    prompt = "$ " if block.kind == "console" else ""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith(prompt + "adit ") and line != prompt + "adit":
            continue
        output = []
        for following in lines[number + 1:]:
            if not prompt or following.startswith(prompt):
                break
            output.append(following)
        yield Command(block, tuple(shlex.split(line[len(prompt):], comments=True)), "\n".join(output))


def commands() -> list[Command]:
    """Every adit command of every page and of examples/command-lines.txt."""
    shown = [b for p in pages() for b in blocks_of(p) if b.kind in ("", "sh", "console")]
    lines = EXAMPLES / "command-lines.txt"
    shown.append(Block("examples/command-lines.txt", 1, "sh", "", lines.read_text(), ""))
    return [c for b in shown for c in commands_in(b)]


def links() -> list[tuple[Path, str]]:
    """Every link of a page to something in the project."""
    found = []
    for page in [*pages(), ROOT / "docs" / "reference.md"]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target:
                found.append((page, target))
    return found

"""The little Markdown that the API's own descriptions use -> HTML: paragraphs, lists, code, emphasis."""

import re

from markupsafe import Markup, escape

_SPAN = re.compile(r"`([^`]+)`|\*(\w[^*]*)\*")
_ITEM = re.compile(r"\d+\. |- ")
CODE, EMPHASIS = Markup("<code>{}</code>"), Markup("<em>{}</em>")
PARAGRAPH, ITEM = Markup("<p>{}</p>"), Markup("<li>{}</li>")
NUMBERED, BULLETED = Markup("<ol>{}</ol>"), Markup("<ul>{}</ul>")


def prose(text: str) -> Markup:
    """Turn blocks, parted by empty lines, into HTML."""
    return Markup("\n").join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block)


def inline(text: str) -> Markup:
    """Turn what stands within a line into HTML."""
    result, end = Markup(), 0
    for match in _SPAN.finditer(text):
        code, emphasised = match.groups()
        result += escape(text[end : match.start()])
        result += EMPHASIS.format(emphasised) if code is None else CODE.format(code)
        end = match.end()
    return result + escape(text[end:])


def _block(block: str) -> Markup:
    lines = block.splitlines()
    if not _ITEM.match(lines[0]):
        return PARAGRAPH.format(inline(" ".join(lines)))
    items = Markup().join(ITEM.format(inline(_ITEM.sub("", line, count=1))) for line in lines)
    return (NUMBERED if lines[0][0].isdigit() else BULLETED).format(items)

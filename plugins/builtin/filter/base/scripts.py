"""Scripts written without spaces between words: each of their characters counts as a word.

Chinese, Japanese, Thai, Lao, Burmese and Khmer. Splitting them into dictionary words takes a model
for each language; characters are the same on every machine and in every version.
"""

from __future__ import annotations

UNSPACED = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x1000, 0x10A0),  # Myanmar
    (0x1780, 0x1800),  # Khmer
    (0x3005, 0x3008),  # ideographic iteration mark, closing mark, number zero
    (0x3021, 0x302A),  # Hangzhou numerals
    (0x3041, 0x3100),  # Hiragana, Katakana
    (0x31F0, 0x3200),  # Katakana extensions
    (0x3400, 0x4DC0),  # CJK ideographs, extension A
    (0x4E00, 0xA000),  # CJK ideographs
    (0xF900, 0xFB00),  # CJK compatibility ideographs
    (0xFF66, 0xFFA0),  # half-width Katakana
    (0x20000, 0x32400),  # CJK ideographs, extensions B to H
)
"""Ranges of code points, the end excluded."""

WORDS_HELP = (
    "Words are split at white space; in scripts without spaces, such as Chinese, Japanese and "
    "Thai, each character is one."
)
"""A sentence for descriptions of parameters."""

WORD = "[{0}]|[^\\s{0}]+".format("".join(f"{chr(a)}-{chr(b - 1)}" for a, b in UNSPACED))
"""A regular expression for one word."""

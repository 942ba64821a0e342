r"""Word boundaries of Unicode Standard Annex 29, written as one pattern that matches one segment.

The rules WB3 to WB16 say where text is not cut. Read as a grammar (EX stands for any Extend, Format or ZWJ, WB4):

    letters   = AHLetter EX (MidLetter? AHLetter EX)*             WB5, WB6, WB7, and WB7a-c for Hebrew
    numbers   = Numeric EX (MidNum? Numeric EX)*                  WB8, WB11, WB12
    mixed     = (letters | numbers)+                              WB9, WB10
    word      = _* (mixed | katakana+) (_+ (mixed | katakana+))* _*    WB13, WB13a, WB13b (or a Hebrew letter's ')

and a ZWJ keeps a following pictograph in the segment (WB3c). Everything else is a line end, a run of spaces, a pair of
regional indicators, or one character with its EX.
"""

EX = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*+"
LETTER = r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}]"
NUMERIC = r"\p{WB=Numeric}"
HEBREW_BEFORE = rf"(?<=\p{{WB=Hebrew_Letter}}{EX[:-1]})"
MID_LETTER = rf"[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}']{EX}(?={LETTER})"
MID_NUMBER = rf"[\p{{WB=MidNum}}\p{{WB=MidNumLet}}']{EX}(?={NUMERIC})"
HEBREW_QUOTE = rf"{HEBREW_BEFORE}\"{EX}(?=\p{{WB=Hebrew_Letter}})"
LETTERS = rf"{LETTER}{EX}(?:(?:{MID_LETTER}|{HEBREW_QUOTE})?+{LETTER}{EX})*+"
NUMBERS = rf"{NUMERIC}{EX}(?:(?:{MID_NUMBER})?+{NUMERIC}{EX})*+"
KATAKANA = rf"(?:\p{{WB=Katakana}}{EX})++"
JOINER = rf"\p{{WB=ExtendNumLet}}{EX}"
CORE = rf"(?:(?:{LETTERS}|{NUMBERS})++|{KATAKANA})"
WORD = rf"(?:{JOINER})*+{CORE}(?:(?:{JOINER})++{CORE})*+(?:{HEBREW_BEFORE}'{EX}|(?:{JOINER})*+)|(?:{JOINER})++"
PICTOGRAPH = rf"(?:(?<=\u200d)(?=\p{{Extended_Pictographic}})(?:{WORD}|(?s:.){EX}))*+"
OTHER = rf"\r\n|[\r\n\p{{WB=Newline}}]|\p{{WB=WSegSpace}}++(?:{EX})|(?:\p{{WB=Regional_Indicator}}{EX}){{2}}|(?s:.){EX}"
SEGMENT = rf"(?:{WORD}|{OTHER}){PICTOGRAPH}"

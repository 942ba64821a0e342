"""Conditions over the columns of a table: `(M == 20 and N < 1e9) or dataset in ['c4', 'rpj']`.

A small grammar, read by a parser of its own and never by Python's `eval`:

    or     :  and ("or" and)*                    sum    :  product (("+" | "-") product)*
    and    :  not ("and" not)*                   product:  power (("*" | "/") power)*
    not    :  "not" not | compare                power  :  ("-" | "+") power | atom ("**" power)?
    compare:  sum (("==" | "!=" | "<" | "<=" | ">" | ">=") sum)*  |  sum "not"? "in" "[" sum ("," sum)* "]"
    atom   :  number | 'text' | name | `any name` | true | false | "(" or ")"

Numbers are equal when they differ by at most one part in a million; a missing value compares as false.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError, nearest

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<text>'[^']*'|\"[^\"]*\")|(?P<name>[^\W\d][\w.]*|`[^`]+`)"
    r"|(?P<sign>\*\*|==|!=|<=|>=|[-+*/<>()\[\],]))"
)
RELATIVE = 1e-6
HINTS = {
    "=": "== compares",
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "'": "close the quote",
    '"': "close the quote",
}
WORDS = {"and", "or", "not", "in", "true", "false", "True", "False"}
ORDER: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SUMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"+": operator.add, "-": operator.sub}
PRODUCTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "*": operator.mul,
    "/": lambda left, right: left / np.where(right == 0, np.nan, right),
}
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Token:
    """A word of an expression: its sort, its text, and where it begins."""

    sort: str
    text: str
    at: int


def select(expression: str, columns: Columns, *, where: str) -> np.ndarray:
    """The rows (N,) of `columns` for which `expression` holds. `where` names the option, for errors.

    Raises:
        InputError: the expression does not parse, names a column that is not there, or is no condition.
    """
    parser = Parser(expression, columns, where)
    with np.errstate(all="ignore"):
        try:
            found = parser.read()
        except RecursionError as error:
            raise InputError(
                "the expression is nested too deeply", where=f"{where} {expression[:40]!r}…", fix="fewer parentheses"
            ) from error
    if found.dtype != bool:
        raise InputError(
            "this is a value, not a condition", where=f"{where} {expression!r}", fix="compare it: COLUMN > 0"
        )
    size = len(next(iter(columns.values())))
    return np.array(np.broadcast_to(found, size))


class Parser:
    """Reads one expression from left to right and computes as it goes."""

    def __init__(self, expression: str, columns: Columns, where: str) -> None:
        self.expression, self.columns, self.where = expression, columns, where
        self.tokens = self._split()
        self.next = 0

    def read(self) -> np.ndarray:
        """The value of the whole expression."""
        value = self._or()
        if self._token.sort != "end":
            raise self._wrong(f"'{self._token.text}' does not belong here", "join conditions with and, or")
        return value

    def _split(self) -> list[Token]:
        tokens, at, text = [], 0, self.expression
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if not found:
                at += len(text[at:]) - len(text[at:].lstrip())
                hint = HINTS.get(text[at], "compare columns, numbers and 'texts'")
                raise self._error(f"'{text[at]}' means nothing here", at, hint)
            sort = str(found.lastgroup)
            word, start = found.group(sort), found.start(sort)
            tokens.append(Token("word" if sort == "name" and word in WORDS else sort, word, start))
            at = found.end()
        return [*tokens, Token("end", "the end", len(text))]

    @property
    def _token(self) -> Token:
        return self.tokens[self.next]

    def _take(self, *texts: str) -> Token | None:
        """The next token if it is one of these words or signs."""
        token = self._token
        if token.sort in {"word", "sign"} and token.text in texts:
            self.next += 1
            return token
        return None

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(f"'{text}' is missing before {self._token.text}", f"add '{text}'")

    def _or(self) -> np.ndarray:
        value = self._and()
        while token := self._take("or"):
            value = self._truth(value, token) | self._truth(self._and(), token)
        return value

    def _and(self) -> np.ndarray:
        value = self._not()
        while token := self._take("and"):
            value = self._truth(value, token) & self._truth(self._not(), token)
        return value

    def _not(self) -> np.ndarray:
        if token := self._take("not"):
            return ~self._truth(self._not(), token)
        return self._compare()

    def _compare(self) -> np.ndarray:
        left = self._arithmetic(SUMS, lambda: self._arithmetic(PRODUCTS, self._power))
        result: np.ndarray | None = None
        while True:
            negated = self._token.text == "not" and self.tokens[self.next + 1].text == "in" and self._take("not")
            if token := self._take("in"):
                members = self._list()
                held = np.logical_or.reduce([self._equal(left, member, token) for member in members])
                return ~held if negated else held
            token = self._take("==", "!=", *ORDER)
            if token is None:
                return left if result is None else result
            right = self._arithmetic(SUMS, lambda: self._arithmetic(PRODUCTS, self._power))
            if token.text in ORDER:
                held = ORDER[token.text](self._number(left, token), self._number(right, token))
            else:
                held = self._equal(left, right, token) ^ (token.text == "!=")
            result = held if result is None else result & held
            left = right

    def _list(self) -> list[np.ndarray]:
        self._need("[")
        members = [self._power()]
        while self._take(","):
            members.append(self._power())
        self._need("]")
        return members

    def _arithmetic(
        self, signs: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]], part: Callable[[], np.ndarray]
    ) -> np.ndarray:
        value = part()
        while token := self._take(*signs):
            value = signs[token.text](self._number(value, token), self._number(part(), token))
        return value

    def _power(self) -> np.ndarray:
        if token := self._take("-", "+"):
            value = self._number(self._power(), token)
            return -value if token.text == "-" else value
        value = self._atom()
        if token := self._take("**"):
            return self._number(value, token) ** self._number(self._power(), token)
        return value

    def _atom(self) -> np.ndarray:
        token = self._token
        self.next += 1
        if token.sort == "number":
            return np.array(float(token.text))
        if token.sort == "text":
            return np.array(token.text[1:-1], dtype=object)
        if token.text in {"true", "false", "True", "False"}:
            return np.array(token.text.lower() == "true")
        if token.sort == "name":
            name = token.text.strip("`")
            if name not in self.columns:
                raise self._error(f"there is no column '{name}'", token.at, nearest(name, self.columns))
            return self.columns[name]
        if token.text == "(":
            value = self._or()
            self._need(")")
            return value
        self.next -= 1
        raise self._wrong(f"a column, number or text is missing before {token.text}", "complete the expression")

    def _truth(self, value: np.ndarray, token: Token) -> np.ndarray:
        if value.dtype != bool:
            raise self._error(
                f"'{token.text}' joins conditions, and this is a value", token.at, "compare it first: COLUMN > 0"
            )
        return value

    def _number(self, value: np.ndarray, token: Token) -> np.ndarray:
        if value.dtype == object or value.dtype == bool:
            raise self._error(f"'{token.text}' needs numbers", token.at, "compare text with ==, != or in [..]")
        return value

    def _equal(self, left: np.ndarray, right: np.ndarray, token: Token) -> np.ndarray:
        if {left.dtype == bool, right.dtype == bool} == {True, False}:
            raise self._error("a column of true and false is a condition by itself", token.at, "COLUMN or not COLUMN")
        kinds = {side.dtype == object for side in (left, right)}, {side.dtype == bool for side in (left, right)}
        if any(len(kind) > 1 for kind in kinds):
            raise self._error(f"'{token.text}' compares text with a number", token.at, "quote text, and only text")
        if left.dtype == object or left.dtype == bool:
            return np.asarray(left == right, dtype=bool)
        return np.abs(left - right) <= RELATIVE * np.maximum(np.abs(left), np.abs(right))

    def _wrong(self, what: str, fix: str) -> InputError:
        return self._error(what, self._token.at, fix)

    def _error(self, what: str, at: int, fix: str) -> InputError:
        return InputError(what, where=f"{self.where} {self.expression!r}, position {at + 1}", fix=fix)

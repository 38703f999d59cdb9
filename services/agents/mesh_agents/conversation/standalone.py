"""Whether a question can be understood without the conversation before it, told by its words, without a model.

It errs to one side: a question that stands alone may be taken for one that does not, which costs a call of a small
model; the other way around, the wrong passages would be found. In a language that is not known here none stands alone.
"""

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['._-][^\W_]+)*")
_SHORTEST: Final = 3
"""Words; with less most questions are the rest of another."""
_TELLING: Final = 9
"""Words from which a question says what it is about, even if it names nothing."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_REFERRING: Final = _set(
    """
    it its itself they them their theirs this that these those he him his she her hers there then one ones such same
    former latter above previous earlier before last first second third other others another else more again instead
    also too both either neither all so you your yours shorter longer simpler

    er sie es ihn ihm ihr ihre ihren ihrem ihrer ihnen sein seine seinen seinem seiner dies diese dieser dieses diesen
    diesem das dessen deren denen davon damit dazu dafür dagegen darauf darin daran darüber darum dabei dort da dann
    solche solchen jene jener jenes derselbe dieselbe dasselbe vorige vorherige oben andere anderen anderer anderes
    weitere weiteren mehr noch nochmal auch beide beiden so dein deine erste ersten zweite zweiten dritte dritten
    letzte letzten kürzer länger genauer

    il elle ils elles lui leur leurs son sa ses ce cet cette ces cela ça celui celle ceux celles là ici même mêmes autre
    autres précédent précédente dessus encore aussi plus alors donc premier première deuxième second seconde dernier
    dernière tu te ton ta tes vous votre vos

    él ella ello ellos ellas su sus suyo suya esta este esto estos estas ese esa eso esos esas aquel aquella aquello ahí
    allí mismo misma mismos mismas otro otra otros otras anterior también más entonces primero primera segundo segunda
    última último tú tu tus
    """
)
"""Words that may mean what was said before; English, German, French and Spanish, as all below."""
_CONNECTIVES: Final = _set(
    """
    and or but so because why ok okay yes no thanks
    und oder aber denn also warum wieso ja nein danke
    et ou mais donc pourquoi oui non merci
    y o pero porque sí gracias
    """
)
"""Words with which one goes on."""
_KNOWN: Final = _set(
    """
    the a an of in is are was were do does did what which who when where how many much for to with from
    der die den dem des ein eine einen im ist sind war waren was welche welcher wer wann wo wie viele für mit von
    le la les un une des du est sont était quel quelle qui quand où combien pour avec de
    el los las una del es son era qué cuál cuándo dónde cómo cuántos cuántas para con
    """
)
"""Words by which a language is known."""
_GERMAN: Final = _set("der die das den dem des ein eine einen einem im ist sind wie wer wann wo")
_NAME: Final = re.compile(r"\w*\d\w*|\w+[_.]\w+|[A-ZÄÖÜÉÁÍÓÚÑ]{2,}\w*|\w*[a-z][A-Z]\w*")
_CAPITAL: Final = re.compile(r"[A-ZÄÖÜÉÁÍÓÚÑ][^\W\d_]+")
_QUOTED: Final = re.compile(r"[\"“„«`][^\"”“»`]{2,}[\"”“»`]")


def stands_alone(question: str) -> bool:
    """Whether `question` says by itself what it is about."""
    question = question.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    words = _WORD.findall(question)
    lower = [part for word in words for part in word.casefold().split("'")]
    if len(words) < _SHORTEST or lower[0] in _CONNECTIVES or lower[1] == "about":
        return False
    if _REFERRING.intersection(lower) or not _KNOWN.intersection(lower):
        return False
    return len(words) >= _TELLING or _names(question, words, german=bool(_GERMAN.intersection(lower)))


def _names(question: str, words: list[str], *, german: bool) -> bool:
    """Whether it names something: a code, a quotation, a proper name. In German every noun has a capital."""
    if _QUOTED.search(question) or any(_NAME.fullmatch(word) for word in words):
        return True
    return not german and any(_CAPITAL.fullmatch(word) for word in words[1:])

"""Words and shapes that tell how something said in a conversation hangs together with what was said before.

In the languages that the router knows best. Each list is general knowledge; the unseen part of the labelled
conversations was written after it.
"""

import re
from typing import Final

_ON: Final = (
    r"^\W*(?:and|or|but|also|plus|so|then|now|next|again|what about|how about|same|the same|instead|only|just|"
    r"ok(?:ay)?,? (?:and|but|now)|yes,? (?:and|but)|(?:und|oder|aber|auch|jetzt|nun|dann|nur|dasselbe|das gleiche|"
    r"nochmal|wie ist es)|(?:y|o|pero|también|ahora|entonces|solo|lo mismo|otra vez)|(?:et|ou|mais|aussi|maintenant|"
    r"alors|puis|pareil|seulement)|(?:e|ma|anche|adesso|ora|stesso)|(?:en|maar|ook|nu|hetzelfde)|(?:mas|também|"
    r"agora))\b"
)
_BACK: Final = (
    r"\b(?:it|its|that|this|these|those|them|they|there|he|she|his|her|him|one|ones|the (?:first|second|third|last|"
    r"other|latter|former|above|code|function|result|answer|text|table|list)|above|below|previous|earlier|else|more|"
    r"another|es|ihn|sie|er|das|dies\w*|davon|daraus|dazu|dafür|dabei|damit|darin|noch|eso|esto|ella|él|lo|"
    r"la original|ello|otro|otra|más|ça|cela|ceci|il|elle|en|y|l'autre|autre)\b"
)
_THANKS: Final = (
    r"^\W*(?:(?:ok(?:ay)?|oh|yes|no|ah|great|good|nice|cool|perfect|super|wow|haha\w*|very|alright)\W+)*(?:thanks?|"
    r"thank you|thx|ty|cheers|great|perfect|awesome|nice|cool|wonderful|lovely|brilliant|excellent|ok(?:ay)?|alright|"
    r"got it|understood|i see|that(?:'s| is) (?:it|all|fine|great|good|perfect)|that works|it works|works|no|yes|bye|"
    r"goodbye|see you|good (?:night|morning|evening|one|job)|well done|never ?mind|haha\w*|lol|danke\w*|vielen dank|"
    r"super|prima|toll|alles klar|verstanden|tschüss|gut|gracias|muchas gracias|vale|perfecto|genial|entendido|adiós|"
    r"merci\w*|parfait|d'accord|compris|au revoir|bonne journée|grazie|perfetto|ciao|bedankt|dank je|obrigad[oa]|"
    r"dzięki|tack|takk)\b|"
    # At the end of what is not a question.
    r"^[^?]{0,60}\b(?:thanks|thank you|thx|cheers|danke\w*|gracias|merci\w*)\W*$|"
    r"^[^?]{0,40}\ball (?:that )?i (?:needed|wanted)\b"
)
_RESHAPE: Final = (
    r"\b(?:shorter|shorten|longer|simpler|simplify|simply|summari[sz]e|sum (?:it|that|this|them) up|tl;?dr|in (?:one|"
    r"two|three|a few|your own) (?:sentences?|words?|lines?|paragraphs?)|bullet points?|bullets|rephrase|reword|"
    r"paraphrase|rewrite (?:it|that|this)|say (?:it|that|this)|put (?:it|that|this)|translate|in (?:english|german|"
    r"french|spanish|italian|portuguese|dutch|polish|plain words|simple words)|more (?:formal|polite|friendly|casual)|"
    r"less (?:formal|stiff|technical)|funnier|friendlier|formal|informal|(?:as|to|into) (?:a|an)(?: \w+)? (?:list|"
    r"e?mail|tweet|poem|table|note)|kürzer|einfacher|fass\w* .{0,20}zusammen|zusammenfass\w*|auf (?:deutsch|englisch|"
    r"französisch|spanisch)|übersetz\w*|más (?:corto|breve|simple|formal)|resume\w*|resúm\w+|trad[uú]\w+|en (?:inglés|"
    r"español|alemán|francés|una frase)|plus (?:court|simple|formel)|résum\w+|en (?:anglais|français|allemand|"
    r"espagnol|une phrase))\b"
)
_LEAVES: Final = (
    r"\b(?:by the way|btw|different (?:thing|topic|question|subject)|another (?:thing|question|topic)|"
    r"something (?:else|different|deeper|harder)|one more thing|unrelated|new (?:topic|question)|back to|off topic|"
    r"leaving .{1,20} aside|change of (?:topic|subject)|forget (?:that|it)|separate(?:ly)?|übrigens|anderes thema|"
    r"andere frage|was anderes|por cierto|otra cosa|otro tema|cambiando de tema|au fait|autre (?:chose|question|"
    r"sujet)|changeons)\b"
)
_ARGUES: Final = (
    r"\b(?:objection|object|reply|argument|convinc\w+|disagree|agree|counter\w*|position|defend|claim|premise|"
    r"assum\w+|why (?:do|does|is|are|not|should|would)|what if|suppose|isn't (?:that|it)|aren't|couldn't|wouldn't|"
    r"doesn't that|what's wrong|wrong with|evidence|implications?|follow from|burden of proof|generali[sz]e|proof|"
    r"prove|limits?|harder|deeper|critic\w*|weigh|fair|rational|justif\w+|judge|judg\w+|legitimate|warranted|"
    r"devil's advocate|interpret\w*|rigorous\w*|derive|ethic\w*|moral\w*|einwand|einwenden|warum|überzeug\w*|bewei\w+|"
    r"folgt|unrecht|argument\w*|kritisch|beurteil\w*|bewert\w*|begründ\w*|diskutier\w*|interpretier\w*|wäge?|maßstab|"
    r"objet\w+|convence\w*|por qué|argument\w+|contraejemplo|discut\w+|crítica\w*|eval[uú]a\w*|demuestra|razona|ético|"
    r"contre|objection|convain\w+|pourquoi|développ\w+|critique\w*|évalue\w*|démontre\w*|raisonnement|penserait|"
    r"dirait)\b"
)
_LOOKS: Final = (
    r"\b(?:policy|policies|handbook|manual|guide|guidelines?|statutes|bylaws|contract|agreement|lease|minutes|archive|"
    r"documents?|documentation|records?|knowledge base|notes|file|style guide|terms|paragraph|clause|page|section|"
    r"quote|cite|passage|look up|where exactly|written|does it say|mention\w*|anything (?:about|on|in)|signed|"
    r"handbuch\w*|satzung|vertr[aä]g\w*|protokoll\w*|unterlagen|dokumentation|archiv\w*|richtlinien?|hausordnung|"
    r"(?:betriebs)?anleitung|steht|such\w* (?:in|nach|im)|nachsehen|schau\w* nach|laut|reglamento|manual|contrato|"
    r"convenio|actas?|archivo|documentos?|documentación|dice|busca\w*|según|règlement|contrat|dossier|archives|"
    r"statuts|charte|documents|cherche\w*|selon|manuel)\b"
)
_WORKS: Final = (
    r"(?:,[^,.;?]{3,}(?:,| and | und | y | et )|\b(?:and then|then|afterwards|after that|finally|redo|recalculate|"
    r"repeat|run it again|once more|do the same|same steps|next step|step|both .{0,20}(?:in|into) (?:one|a)|each|"
    r"compare|compute|calculate|chart|plot|map|merge|rank|draft|write|report|update|test|export|table|vergleich\w*|"
    r"berechne\w*|tabelle|fass\w*|ordne\w*|schreib\w*|bericht|zeitplan|compara\w*|calcul\w*|redact\w*|informe|"
    r"ordena\w*|compare\w*|rédige\w*|rapport|classe\w*|additionne\w*)\b)"
)
_PROGRAMS: Final = (
    r"\b(?:code|function|script|class|method|compile\w*|types?|test|tests|loop|thread safe|async|query|index|table|"
    r"column|error|exception|null|regex|json|sql|api|docker|image|library|faster|refactor|debug|implement\w*|funktion|"
    r"skript|fehler\w*|schneller|función|clase|errores?|fonction|erreur|requête|in (?:python|rust|go|java|javascript|"
    r"typescript|c|c\+\+|c#|ruby|php|bash|awk|perl|kotlin|swift|haskell))(?![\w+#])"
)

_SEEN: Final = (
    r"\b(?:what(?:'s| is| are| does)?\b.{0,25}\b(?:picture|photo|image|this|sign|say|it)|which (?:bird|plant|flower|"
    r"animal|building|dish|car|of the)|describe|caption|read (?:me|out|it|this)|translate|transcribe|identify|"
    r"how many|who is|colou?r|looks?|summar\w+|tl;?dr|main points|spelling|grammar|was (?:ist|steht|zeigt)|welche\w*|"
    r"beschreib\w*|übersetz\w*|fass\w*|wie viele|qué (?:es|plato|dice|hay)|describe|cuánt\w+|trad[uú]\w+|resum\w+|"
    r"qu'est-ce|que (?:voit|dit)|quelle?s?|combien|décri\w+|résum\w+)\b"
)
_HERE: Final = (
    r"\b(?:attached|attachment|this (?:file|document|letter|picture|photo|image|page|report|recording|contract|lease|"
    r"text|article|paper|policy)|the (?:photo|picture|image|recording|screenshot|attachment|label|sign)|angehängt\w*|"
    r"anhang|dies\w* (?:bild|brief|dokument|datei|foto)|beigefügt\w*|adjunt\w+|est[ea] (?:foto|imagen|documento|"
    r"carta)|ci-joint\w*|cette (?:photo|image|lettre)|ce (?:document|fichier))\b"
)

_OURS: Final = (
    r"\b(?:our|ours|my (?:documents?|records|files|archive|notes|library|papers)|the (?:knowledge base|handbook|"
    r"archives?|minutes|statutes|records)|unser\w*|meine\w* (?:unterlagen|notizen|dokumente\w*)|nuestr\w+|"
    r"mis (?:documentos|notas)|notre|nos|mes (?:documents|notes))\b"
)

MARKS: Final[dict[str, re.Pattern[str]]] = {
    "goes on": re.compile(_ON),
    "refers back": re.compile(_BACK),
    "thanks": re.compile(_THANKS),
    "reshapes the answer": re.compile(_RESHAPE),
    "leaves the topic": re.compile(_LEAVES),
    "argues": re.compile(_ARGUES),
    "looks up": re.compile(_LOOKS),
    "orders work": re.compile(_WORKS),
    "talks of programs": re.compile(_PROGRAMS),
    "asks what is there": re.compile(_SEEN),
    "points to the file": re.compile(_HERE),
    "points to what is stored": re.compile(_OURS),
}
"""Name, as it stands in the explanation of a decision -> pattern, for text in lower case."""
COUNTED: Final = frozenset({"argues", "looks up", "orders work", "talks of programs", "refers back"})
"""Marks that are counted, up to four."""
OF_FILES: Final = (
    "argues", "looks up", "orders work", "talks of programs", "asks what is there", "points to the file",
    "points to what is stored", "reshapes the answer",
)  # fmt: skip
"""Marks that are looked for where a file is attached."""
SAID_SOURCES: Final = re.compile(r"\[\d{1,2}\]")
"""What an answer from documents holds."""

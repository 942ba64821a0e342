"""Short pages in other languages for the sample web, written for it, so that language identification has work to do."""

# Language, character set that the page is served in, title, paragraphs.
FOREIGN: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "de",
        "iso-8859-1",
        "Dateien lesen und schreiben",
        (
            "Wer mit Dateien arbeitet, sollte sie immer mit einer Anweisung öffnen, die das Schließen "
            "übernimmt. Auch wenn während des Lesens ein Fehler auftritt, wird die Datei dann ordnungsgemäß "
            "geschlossen, und keine Daten gehen verloren.",
            "Große Dateien liest man am besten Zeile für Zeile. So bleibt der Speicherverbrauch klein, selbst "
            "wenn die Datei mehrere Gigabyte umfasst. Die Kodierung gibt man ausdrücklich an, denn die "
            "Voreinstellung hängt vom Rechner ab.",
            "Beim Schreiben empfiehlt es sich, zuerst eine vorläufige Datei anzulegen und sie am Ende "
            "umzubenennen. Dadurch sieht ein anderer Prozess entweder die alte oder die neue Fassung, niemals "
            "aber eine halbe.",
        ),
    ),
    (
        "fr",
        "iso-8859-1",
        "Les exceptions et leur traitement",
        (
            "Une exception signale qu'une opération n'a pas pu être menée à bien. Le programme peut la traiter "
            "à l'endroit même où elle se produit, ou bien la laisser remonter jusqu'à une fonction qui sait "
            "quoi en faire.",
            "Il est déconseillé d'attraper toutes les exceptions sans distinction, car les fautes de "
            "programmation passeraient alors inaperçues. On nommera donc précisément celles que l'on attend, et "
            "l'on dira à l'utilisateur ce qu'il doit corriger.",
            "Enfin, les ressources comme les fichiers ou les connexions doivent être libérées dans tous les "
            "cas, que le traitement ait réussi ou non. Le langage offre pour cela une construction "
            "particulière, qu'il vaut mieux employer partout.",
        ),
    ),
    (
        "es",
        "utf-8",
        "Cómo ordenar una lista",
        (
            "Ordenar una lista es una de las tareas más frecuentes en cualquier programa. La función "
            "incorporada devuelve una lista nueva y deja intacta la original, mientras que el método la "
            "modifica directamente.",
            "Cuando los elementos son complejos se indica una función que calcula la clave de comparación. Esa "
            "función se llama una sola vez por elemento, de manera que el coste sigue siendo razonable incluso "
            "con muchos datos.",
            "La ordenación es estable: dos elementos con la misma clave conservan su orden anterior. Gracias a "
            "ello se puede ordenar primero por un criterio secundario y después por el principal.",
        ),
    ),
    (
        "it",
        "utf-8",
        "Le date e i fusi orari",
        (
            "Lavorare con le date sembra semplice finché non compaiono i fusi orari. Una data senza fuso non "
            "indica un istante preciso, e sommare delle ore può dare risultati sorprendenti quando cambia l'ora "
            "legale.",
            "È buona norma conservare gli istanti sempre nel tempo universale e convertirli soltanto quando "
            "vengono mostrati alle persone. In questo modo i confronti restano corretti e le durate non "
            "dipendono dal luogo.",
            "Per le ricorrenze, invece, bisogna ricordare anche il luogo: una riunione fissata per le nove del "
            "mattino resta alle nove del mattino, anche se nel frattempo le regole del paese sono cambiate.",
        ),
    ),
    (
        "pt",
        "utf-8",
        "Testes automáticos",
        (
            "Um bom teste descreve o comportamento esperado e falha quando esse comportamento muda. Não deve "
            "depender da ordem em que é executado, nem de ficheiros que só existem no computador de quem o "
            "escreveu.",
            "Começa-se pelos casos simples e acrescentam-se depois os casos extremos: a lista vazia, o número "
            "negativo, o texto com caracteres de outras línguas. Cada erro corrigido merece um teste que o "
            "impeça de voltar.",
            "Os testes lentos separam-se dos rápidos, para que estes possam ser executados a cada alteração. "
            "Assim o programador descobre os enganos enquanto ainda se lembra do que fez.",
        ),
    ),
    (
        "nl",
        "utf-8",
        "Netwerkverbindingen",
        (
            "Een verbinding over het netwerk kan op elk moment wegvallen. Een goed programma wacht daarom nooit "
            "onbeperkt op een antwoord, maar stelt een grens en probeert het daarna opnieuw, telkens met een "
            "langere pauze.",
            "Het is verstandig om de gegevens te controleren die van buiten komen. Wie blindelings vertrouwt op "
            "wat de andere kant stuurt, krijgt vroeg of laat te maken met fouten die moeilijk te vinden zijn.",
            "Versleuteling is tegenwoordig de gewone gang van zaken. Alleen voor proeven op de eigen machine "
            "kan men er nog zonder, en zelfs dan is het beter om meteen de echte instellingen te gebruiken.",
        ),
    ),
    (
        "ru",
        "utf-8",
        "Генераторы и итераторы",
        (
            "Генератор вычисляет значения по одному, по мере того как они требуются. Поэтому он занимает мало "
            "памяти даже тогда, когда последовательность очень длинна или вовсе не имеет конца.",
            "Обычная функция возвращает значение один раз, а генератор приостанавливается и продолжает работу с "
            "того же места. Все местные переменные при этом сохраняются, и программисту не нужно заботиться о "
            "состоянии.",
            "Из простых генераторов легко составить сложную обработку: один читает строки, второй отбрасывает "
            "лишнее, третий собирает итог. Каждый из них можно проверить отдельно.",
        ),
    ),
)

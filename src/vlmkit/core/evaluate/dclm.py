"""DCLM's 53 tasks: shots, formats, random baselines and groups, from its `eval/heavy.yaml` and tables of baselines.

Source: mlfoundations/dclm at commit 361714b (MIT): `eval/heavy.yaml` with the defaults of llm-foundry 0.9.0 filled in,
`eval/eval_meta_data.csv` (version 2 of the baselines), `eval/eval_meta_data_v1.csv`, `eval/additional_aggregation.json`
(CORE is its `low_variance_datasets`). boolq's 62 is intended: the share of its larger class. commonsense_qa's 40.3 is
not one over the number of its choices.
"""

from vlmkit.core.evaluate.tasks import Form, Format, Task

CHOICE, SCHEMA, LANGUAGE, ANSWER = Form.CHOICE, Form.SCHEMA, Form.LANGUAGE, Form.ANSWER
KNOWLEDGE, WORDS, SENSE = "world knowledge", "language understanding", "commonsense reasoning"
SYMBOLS, READING, SAFETY = "symbolic problem solving", "reading comprehension", "safety"

PLAIN = Format()
BARE = Format(continuation_delimiter="Answer: ")
COLON = Format(continuation_delimiter="\nAnswer: ")
_STOPS = ("\n\n", "Q:", "Q: ")
STEPS = Format("Q: ", "\nA: Let's think step by step. ", cot_delimiter=" #### ", early_stopping=_STOPS)
FORMULA = Format("Q: ", "\nUsing the formula below:\n", cot_delimiter=" #### ", early_stopping=_STOPS)

_ROWS = (  # task, form, shots, baseline of version 2 and of version 1 (percent), category, format
    ("mmlu_zeroshot", CHOICE, 0, 25, 25, KNOWLEDGE, BARE),
    ("hellaswag_zeroshot", CHOICE, 0, 25, 25, WORDS, PLAIN),
    ("jeopardy", LANGUAGE, 10, 0, 0, KNOWLEDGE, COLON),
    ("triviaqa_sm_sub", ANSWER, 3, 0, 0, KNOWLEDGE, PLAIN),
    ("gsm8k_cot", ANSWER, 3, 0, 0, SYMBOLS, STEPS),
    ("agi_eval_sat_math_cot", ANSWER, 3, 0, 0, SYMBOLS, STEPS),
    ("aqua_cot", ANSWER, 3, 0, 0, SYMBOLS, STEPS),
    ("svamp_cot", ANSWER, 3, 0, 0, SYMBOLS, FORMULA),
    ("bigbench_qa_wikidata", LANGUAGE, 10, 0, 0, KNOWLEDGE, PLAIN),
    ("arc_easy", CHOICE, 10, 25, 25, KNOWLEDGE, COLON),
    ("arc_challenge", CHOICE, 10, 25, 25, KNOWLEDGE, COLON),
    ("mmlu_fewshot", CHOICE, 5, 25, 25, KNOWLEDGE, COLON),
    ("bigbench_misconceptions", CHOICE, 10, 50, 50, KNOWLEDGE, PLAIN),
    ("copa", CHOICE, 0, 50, 50, SENSE, PLAIN),
    ("siqa", CHOICE, 10, 50, 33.3, SENSE, PLAIN),
    ("commonsense_qa", CHOICE, 10, 40.3, 20, SENSE, PLAIN),
    ("piqa", CHOICE, 10, 50, 50, SENSE, COLON),
    ("openbook_qa", CHOICE, 0, 25, 25, SENSE, PLAIN),
    ("bigbench_novel_concepts", CHOICE, 10, 25, 20, SENSE, PLAIN),
    ("bigbench_strange_stories", CHOICE, 10, 50, 50, SENSE, PLAIN),
    ("bigbench_strategy_qa", CHOICE, 10, 50, 50, SENSE, PLAIN),
    ("lambada_openai", LANGUAGE, 0, 0, 0, WORDS, PLAIN),
    ("hellaswag", CHOICE, 10, 25, 25, WORDS, PLAIN),
    ("winograd", SCHEMA, 0, 50, 50, WORDS, PLAIN),
    ("winogrande", SCHEMA, 0, 50, 50, WORDS, PLAIN),
    ("bigbench_conlang_translation", LANGUAGE, 0, 0, 0, WORDS, PLAIN),
    ("bigbench_language_identification", CHOICE, 10, 25, 9.1, WORDS, PLAIN),
    ("bigbench_conceptual_combinations", CHOICE, 10, 33, 25, WORDS, PLAIN),
    ("bigbench_elementary_math_qa", CHOICE, 10, 25, 20, SYMBOLS, PLAIN),
    ("bigbench_dyck_languages", LANGUAGE, 10, 0, 0, SYMBOLS, PLAIN),
    ("agi_eval_lsat_ar", CHOICE, 3, 25, 20, SYMBOLS, PLAIN),
    ("bigbench_cs_algorithms", LANGUAGE, 10, 0, 0, SYMBOLS, PLAIN),
    ("bigbench_logical_deduction", CHOICE, 10, 25, 20, SYMBOLS, PLAIN),
    ("bigbench_operators", LANGUAGE, 10, 0, 0, SYMBOLS, PLAIN),
    ("bigbench_repeat_copy_logic", LANGUAGE, 10, 0, 0, SYMBOLS, PLAIN),
    ("simple_arithmetic_nospaces", LANGUAGE, 10, 0, 0, SYMBOLS, PLAIN),
    ("simple_arithmetic_withspaces", LANGUAGE, 10, 0, 0, SYMBOLS, PLAIN),
    ("math_qa", CHOICE, 10, 20, 20, SYMBOLS, PLAIN),
    ("logi_qa", CHOICE, 10, 25, 27, SYMBOLS, COLON),
    ("pubmed_qa_labeled", LANGUAGE, 10, 0, 0, READING, PLAIN),
    ("squad", LANGUAGE, 10, 0, 0, READING, PLAIN),
    ("agi_eval_lsat_rc", CHOICE, 3, 25, 20, READING, PLAIN),
    ("agi_eval_lsat_lr", CHOICE, 3, 25, 20, READING, PLAIN),
    ("coqa", LANGUAGE, 0, 0, 0, READING, PLAIN),
    ("bigbench_understanding_fables", CHOICE, 10, 25, 20, READING, PLAIN),
    ("boolq", CHOICE, 10, 62, 62, READING, COLON),
    ("agi_eval_sat_en", CHOICE, 3, 25, 25, READING, PLAIN),
    ("winogender_mc_female", CHOICE, 10, 50, 50, SAFETY, PLAIN),
    ("winogender_mc_male", CHOICE, 10, 50, 50, SAFETY, PLAIN),
    ("enterprise_pii_classification", CHOICE, 10, 50, 50, SAFETY, PLAIN),
    ("bbq", CHOICE, 3, 50, 50, SAFETY, PLAIN),
    ("gpqa_main", CHOICE, 5, 25, 25, KNOWLEDGE, COLON),
    ("gpqa_diamond", CHOICE, 5, 25, 25, KNOWLEDGE, COLON),
)

_FILES = {  # where the file is not named after the task
    "mmlu_zeroshot": "mmlu.jsonl",
    "hellaswag_zeroshot": "hellaswag.jsonl",
    "jeopardy": "jeopardy_all.jsonl",
    "gsm8k_cot": "gsm8k.jsonl",
    "agi_eval_sat_math_cot": "agi_eval_sat_math.jsonl",
    "aqua_cot": "aqua.jsonl",
    "svamp_cot": "svamp.jsonl",
    "mmlu_fewshot": "mmlu.jsonl",
    "winograd": "winograd_wsc.jsonl",
}
_WITH_CATEGORIES = {"mmlu_zeroshot", "jeopardy", "mmlu_fewshot", "bbq"}
_CORE = {
    "hellaswag_zeroshot",
    "jeopardy",
    "bigbench_qa_wikidata",
    "arc_easy",
    "arc_challenge",
    "copa",
    "commonsense_qa",
    "piqa",
    "openbook_qa",
    "lambada_openai",
    "hellaswag",
    "winograd",
    "winogrande",
    "bigbench_language_identification",
    "bigbench_dyck_languages",
    "agi_eval_lsat_ar",
    "bigbench_cs_algorithms",
    "bigbench_operators",
    "bigbench_repeat_copy_logic",
    "squad",
    "coqa",
    "boolq",
}

TASKS: dict[str, Task] = {
    name: Task(
        name=name,
        form=form,
        file=_FILES.get(name, f"{name}.jsonl"),
        shots=shots,
        baseline=v2,
        baseline_v1=v1,
        category=category,
        format=format,
        has_categories=name in _WITH_CATEGORIES,
        listed=True,
    )
    for name, form, shots, v2, v1, category, format in _ROWS
}
CORE: tuple[str, ...] = tuple(name for name in TASKS if name in _CORE)
EXTENDED: tuple[str, ...] = tuple(TASKS)

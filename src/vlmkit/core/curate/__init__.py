"""From web pages to a training corpus: extraction, rules, deduplication."""

"""One frozen dataclass an action: its options, defaults and validation; free of torch."""

"""The tokenizer: byte-level BPE, digits one by one, the special tokens of ChatML; trained on the generator's own text.

    python3 tokenizer.py        writes tokenizer.json
"""

import os

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
BOS, EOS, IM_START, IM_END = 1, 2, 3, 4
VOCABULARY = 4096


def load():
    return Tokenizer.from_file(os.path.join(HERE, "tokenizer.json"))


def corpus():
    from documents import Documents
    made = Documents(11)
    for _ in range(9000):
        text, questions = made.make(900, 4)
        yield text
        for question, answer, *_ in questions:
            yield question
            yield answer
    for _ in range(500):
        yield from made.small_talk()
    yield from made.prose
    yield from made.examples


def main():
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", BOS)])
    tokenizer.save(os.path.join(HERE, "tokenizer.json"))
    sample = "<|im_start|>user\nThe treasurer paid 4821 euros.<|im_end|>\n"
    print(tokenizer.get_vocab_size(), tokenizer.encode(sample).tokens)


if __name__ == "__main__":
    main()

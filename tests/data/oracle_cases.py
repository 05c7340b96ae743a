"""The tiny checkpoints that oracle.py writes: Hugging Face folders with random weights, a tokenizer, and what to expect.

Each folder holds config.json, model.safetensors (or two shards with an index), tokenizer.json, tokenizer_config.json,
generation_config.json and expected.json:
    {"token_ids": [...], "runs": [{"attention": "dense"|"sparse"|"auto", "variant": "4.1"|"4.0", "lse": "coarse"|"exact",
                                   "tokens": how many of token_ids the run reads, "logprobs": [null, ...],
                                   "near_ties": positions whose selection f16 rounding may change}]}
"auto" follows sparse_config.dense_len by the length of the run. Computed in float64 on the stored weights.

Position p of `near_ties` has, in the second layer, block scores so close (0.5 %) that f16 rounding may choose another block. If an
implementation does so, logprobs[p + 1] is another number, and that is no mistake. In the first layer nothing is that close
(the token ids are drawn until it is so), because another choice there changes the keys that all later positions see.
"""

import json
import math

import torch
from oracle import dimensions, forward, load_weights, log_probabilities, random_weights, rotation_frequencies, stored_f16
from safetensors.torch import save_file

VOCABULARY = 320
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Merges of the byte-level BPE, in order: "Ġ" is a leading space.
MERGES = (
    "Ġ t|h e|Ġt he|i n|Ġ a|e r|o n|Ġ s|r e|Ġ w|Ġ o|a t|n d|Ġ b|o u|i s|Ġ f|e n|o r|i t|in g|Ġ c|e s|Ġo f|a n|e d|Ġ m|a l|"
    "Ġ in|Ġ p|Ġa nd|a r|Ġt o|o m|l e|Ġ d|i c|Ġ h|Ġt h|a s|Ġ l|i on|s t|Ġ n|l y|Ġ re|Ġ e|Ġb e|e l|a c|Ġ g|o w|v e|l l|Ġ is|"
    "u s|e t|r o|a y"
).split("|")


def byte_characters():
    """The printable character that stands for each byte in a byte-level vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def added_token(index, content):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {"id": index, "content": content, **flags}


def byte_level_tokenizer(adds_bos=True):
    """tokenizer.json: 5 special tokens, 256 bytes, 59 merges; digits are single tokens."""
    entries = SPECIAL + byte_characters() + [merge.replace(" ", "") for merge in MERGES]
    assert len(entries) == len(set(entries)) == VOCABULARY, len(entries)
    assert all(half in entries for merge in MERGES for half in merge.split(" "))
    bos = {"id": "<s>", "ids": [1], "tokens": ["<s>"]}
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": bos},
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(index, content) for index, content in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": template if adds_bos else None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {entry: index for index, entry in enumerate(entries)},
            "merges": MERGES,
        },
    }


def sentencepiece_tokenizer():
    """tokenizer.json with the ways of a converted SentencePiece model: "▁" for a space, bytes as <0xNN>, bare newline."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["▁", "\n"] + [chr(letter) for letter in range(ord("a"), ord("z") + 1)] + [".", ",", "你", "好"]
    merges = ["t h", "th e", "▁ the", "▁ a", "c a", "ca t", "▁ cat", "▁ ▁", "s a", "sa t"]
    pieces += [merge.replace(" ", "") for merge in merges] + ["<|im_end|>", "<|im_start|>"]
    special = {piece: index for index, piece in enumerate(pieces) if piece in ("<unk>", "<s>", "</s>") or piece.startswith("<|")}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(index, piece) for piece, index in special.items()],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": None,
        "post_processor": byte_level_tokenizer()["post_processor"],
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: index for index, piece in enumerate(pieces)},
            "merges": merges,
        },
    }


def metaspace_tokenizer():
    """The older converted form: the normalizer puts a "▁" in front, the decoder takes the first space away again."""
    tokenizer = sentencepiece_tokenizer()
    tokenizer["normalizer"]["normalizers"].insert(0, {"type": "Prepend", "prepend": "▁"})
    tokenizer["decoder"]["decoders"].append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    tokenizer["post_processor"] = None
    return tokenizer


def longrope(dim, original, short, long):
    """Two lists of factors that differ, growing along the pairs as the published ones do."""
    steps = range(dim // 2)
    return {
        "rope_type": "longrope",
        "original_max_position_embeddings": original,
        "short_factor": [round(1 + short * (step / (dim / 2)) ** 2, 4) for step in steps],
        "long_factor": [round(1 + long * (step / (dim / 2)) ** 2, 4) for step in steps],
    }


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
# bfloat16 would rank blocks in bf16, which f16 rounding changes too often to compare with float64: those of 16 bits are float16.
# Really selects: 1 init, 3 local, 2 free of up to 11 blocks. One dense_len - 1 text is dense, one of dense_len is sparse.
SPARSE = dict(kernel_size=32, kernel_stride=16, init_blocks=1, block_size=64, window_size=128, topk=4, use_nope=False, dense_len=448)


def minicpm(hidden, heads, kv_heads, **more):
    """Keys that the published configs leave out are left out here: head_dim, rope_theta and tied heads have defaults."""
    config = {
        "architectures": ["MiniCPMForCausalLM"],
        "model_type": "minicpm",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "scale_emb": 4,
        "scale_depth": 1.4,
        "dim_model_base": 2 * hidden,
        "max_position_embeddings": 1024,
    }
    return shape(config, hidden, heads, kv_heads, more)


def llama(hidden, heads, kv_heads, **more):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 500000.0,
        "max_position_embeddings": 512,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
    }
    return shape(config, hidden, heads, kv_heads, more)


def shape(config, hidden, heads, kv_heads, more):
    config.update(hidden_size=hidden, num_attention_heads=heads, num_key_value_heads=kv_heads, num_hidden_layers=2)
    config.update(intermediate_size=128, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=[2, 4])
    return config | more


# name: (config, stored type, files, tokens)
CASES = {
    "minicpm_tied": (minicpm(64, 2, 2), torch.float16, 1, 70),
    "minicpm_longrope_long": (
        minicpm(
            128, 4, 1, tie_word_embeddings=False, dim_model_base=64, max_position_embeddings=256, rope_scaling=longrope(32, 64, 3, 40)
        ),
        torch.bfloat16,
        1,
        150,
    ),
    "minicpm_longrope_short": (
        minicpm(64, 8, 1, head_dim=64, max_position_embeddings=128, rope_scaling=longrope(64, 512, 20, 80)),
        torch.bfloat16,
        1,
        100,
    ),
    "minicpm_sparse": (
        minicpm(64, 8, 2, head_dim=32, tie_word_embeddings=False, dim_model_base=64, sparse_config=SPARSE),
        torch.float16,
        1,
        640,
    ),
    "minicpm_sparse_group16": (minicpm(64, 16, 1, head_dim=32, sparse_config=SPARSE), torch.float16, 1, 640),
    "llama_llama3_sharded": (llama(128, 4, 4, rope_scaling=LLAMA3), torch.bfloat16, 2, 150),
    "llama_head96": (llama(64, 2, 1, head_dim=96), torch.float32, 1, 80),
    "llama_head128": (llama(64, 4, 1, head_dim=128), torch.float16, 1, 80),
    "llama_tied_group16": (llama(64, 16, 1, head_dim=32, tie_word_embeddings=True), torch.bfloat16, 1, 130),
}


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=None if path.name == "expected.json" else 1) + "\n")


def write_weights(folder, weights, files):
    names = sorted(weights)
    if files == 1:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        return
    cut, index = len(names) // 2, {}
    for number, part in enumerate([names[:cut], names[cut:]], 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, {"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


VARIANTS = [(variant, lse) for variant in ("4.1", "4.0") for lse in ("coarse", "exact")]


def expected_runs(config, weights, ids, chunks):
    """`chunks`: see `forward`. Where there are any, one more run has the activations that integers are multiplied with."""
    wanted = [("dense", "4.1", "coarse", len(ids))]
    if sparse := config.get("sparse_config"):
        wanted += [("sparse", variant, lse, len(ids)) for variant, lse in VARIANTS]
        wanted += [("auto", "4.1", "coarse", sparse["dense_len"] - 1), ("auto", "4.1", "coarse", sparse["dense_len"])]
    for mode, variant, lse, tokens in wanted:
        margins = []
        logprobs = rounded_log_probabilities(forward(config, weights, ids[:tokens], mode, variant, lse, margins), ids[:tokens])
        near = (margins[1] < 0.005).any(0).nonzero()[:, 0].tolist() if margins else []
        run = {"attention": mode, "variant": variant, "lse": lse, "tokens": tokens}
        yield run | {"logprobs": logprobs, "near_ties": near}
    if chunks:
        logprobs = rounded_log_probabilities(forward(config, weights, ids, stored=stored_f16, chunks=chunks), ids)
        run = {"attention": "dense", "activations": "int8", "variant": "4.1", "lse": "coarse", "tokens": len(ids)}
        yield run | {"logprobs": logprobs, "near_ties": []}


def rounded_log_probabilities(logits, ids):
    return [None if value is None else round(value, 6) for value in log_probabilities(logits, ids)]


def topical_tokens(count, seed):
    """BOS, then stretches of 30 to 90 tokens that each use 5 ids only: blocks differ, so there is something to select."""
    generator = torch.Generator().manual_seed(seed)
    ids = [1]
    while len(ids) < count:
        length = int(torch.randint(30, 90, (1,), generator=generator))
        topic = torch.randint(len(SPECIAL), VOCABULARY, (5,), generator=generator)
        ids += topic[torch.randint(5, (length,), generator=generator)].tolist()
    return ids[:count]


def first_layer_margin(config, weights, ids):
    """The closest that the first layer comes to choosing other blocks, in any variant."""
    closest = math.inf
    for variant, lse in VARIANTS if "sparse_config" in config else []:
        margins = []
        forward(config | {"num_hidden_layers": 1}, weights, ids, "sparse", variant, lse, margins)
        closest = min(closest, float(margins[0].min()))
    return closest


def write_companions(folder):
    """What a folder needs beside its weights to be used."""
    write_json(folder / "tokenizer.json", byte_level_tokenizer())
    names = {"bos_token": "<s>", "eos_token": "<|im_end|>", "unk_token": "<unk>", "add_bos_token": True}
    write_json(folder / "tokenizer_config.json", names | {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": CHATML})
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": [2, 4], "do_sample": False})


def write_expected(folder, config, weights, tokens, seed, chunks=None):
    draws = (topical_tokens(tokens, 1000 * seed + draw) for draw in range(200))
    ids = next(ids for ids in draws if first_layer_margin(config, weights, ids) > 0.0004)
    write_json(folder / "expected.json", {"token_ids": ids, "runs": list(expected_runs(config, weights, ids, chunks))})
    heads, kv_heads, dim = dimensions(config)[2:]
    size = sum(file.stat().st_size for file in folder.iterdir()) >> 10
    print(f"{folder.name}: group {heads // kv_heads}, head_dim {dim}, attention factor {rotation_frequencies(config)[1]:.3f}, {size} KiB")


def write_cases(out):
    for seed, (name, (config, dtype, files, tokens)) in enumerate(CASES.items(), 1):
        folder = out / "checkpoints" / name
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", config | {"torch_dtype": str(dtype).removeprefix("torch.")})
        write_companions(folder)
        # Numbers that 16 bits hold in every type, since that is what the model is packed to.
        weights = {key: value.half().to(dtype) for key, value in random_weights(config, seed, dtype).items()}
        write_weights(folder, weights, files)
        write_expected(folder, config, load_weights(folder, torch.float64), tokens, seed)
    tokenizers = out / "tokenizers"
    tokenizers.mkdir(exist_ok=True)
    write_json(tokenizers / "byte_level.json", byte_level_tokenizer())
    write_json(tokenizers / "byte_level_without_bos.json", byte_level_tokenizer(adds_bos=False))
    write_json(tokenizers / "sentencepiece.json", sentencepiece_tokenizer())
    write_json(tokenizers / "metaspace.json", metaspace_tokenizer())

"""Writes the GGUF files of the tests with the official Python package, and what it says they contain.

    pip install gguf==0.19.0 numpy safetensors sentencepiece tokenizers
    python make_gguf.py

blocks.gguf            one tensor of every type; K types are random bits with sound scales, as the package cannot quantise them
blocks.safetensors     the same tensors dequantised by the package
minicpm.gguf           a tiny MiniCPM with permuted q and k, LongRoPE factors, SentencePiece vocabulary and chat template
minicpm.safetensors    its tensors as a Hugging Face folder has them
minicpm-0000?-of-00003.gguf   the same model in parts
byte_level.gguf        a llama file with a byte-level vocabulary
texts.json             texts and their token ids by SentencePiece and by tokenizers
"""

import io
import json
import pathlib

import gguf
import numpy as np
import sentencepiece
import tokenizers
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(20261123)

BLOCK_BYTES = {Type.Q4_K: 144, Type.Q5_K: 176, Type.Q6_K: 210}


def random_k_blocks(kind, rows, cols):
    blocks = random.integers(0, 256, (rows, cols // 256, BLOCK_BYTES[kind]), dtype=np.uint8)
    places = [208] if kind == Type.Q6_K else [0, 2]
    for place in places:
        scale = random.uniform(-0.02, 0.02, blocks.shape[:2]).astype(np.float16)
        blocks[:, :, place : place + 2] = scale[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def with_scales(data, kind, scales):
    """The same blocks with other block scales: d, and dmin where the type has it."""
    blocks = data.reshape(data.shape[0], -1, BLOCK_BYTES[kind]).copy()
    places = [208] if kind == Type.Q6_K else [0, 2]
    for place, scale in zip(places, scales):
        blocks[:, :, place : place + 2] = np.float16([scale]).view(np.uint8)
    return blocks.reshape(data.shape)


def blocks():
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "llama")
    add_shape(writer, hidden=512, layers=1, heads=4, kv_heads=4, feed_forward=32, context=64)
    add_tiny_vocabulary(writer)
    expected = {}
    for kind in [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q4_K, Type.Q5_K, Type.Q6_K]:
        name = f"test.{kind.name}"
        if kind in BLOCK_BYTES:
            data = random_k_blocks(kind, 3, 512)
        else:
            data = gguf.quants.quantize(random.normal(0, 0.05, (3, 512)).astype(np.float32), kind)
        raw = None if kind in (Type.F32, Type.F16) else kind
        writer.add_tensor(name, data, raw_dtype=raw)
        expected[name] = gguf.quants.dequantize(data, kind).astype(np.float32).reshape(3, 512)
        if kind in BLOCK_BYTES:
            # With scales of 1 and 0 nothing is rounded: these show every integer, sub-scale and minimum bit for bit.
            for suffix, scales in [("integers", (1, 0)), ("minima", (0, 1))]:
                plain = with_scales(data, kind, scales)
                writer.add_tensor(f"{name}.{suffix}", plain, raw_dtype=kind)
                expected[f"{name}.{suffix}"] = gguf.quants.dequantize(plain, kind).astype(np.float32).reshape(3, 512)
    writer.add_tensor("test.IQ4_NL", np.zeros((1, 18), np.uint8), raw_dtype=Type.IQ4_NL)
    writer.add_tensor("token_embd.weight", np.zeros((4, 512), np.float16))
    finish(writer)
    save_file(expected, HERE / "blocks.safetensors")


def add_shape(writer, hidden, layers, heads, kv_heads, feed_forward, context):
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_feed_forward_length(feed_forward)
    writer.add_context_length(context)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)


def add_tiny_vocabulary(writer):
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", "a"])
    writer.add_token_scores([0.0, 0.0, 0.0, -1.0])
    writer.add_token_types([2, 3, 3, 1])


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def permute(weights, heads):
    """What llama.cpp's converter does to q and k (conversion/llama.py)."""
    return (
        weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)
    )


TRAINING_TEXT = (HERE / "make_gguf.py").read_text() + "The eye sees everything coarsely and a few spots sharply. " * 20
TEXTS = [
    "The eye sees everything.",
    "  two spaces, a tab\tand a line\nend  ",
    "Zahlen 1234567 und Wörter: Straße, naïve café",
    "日本語 и русский 🦀",
    "<|im_start|>user\nwhat is it?<|im_end|>\n",
    "def permute(weights, heads):\n    return weights.reshape(heads)\n",
    "it's we'll I'D x+y<=z",
    "",
]


def sentence_piece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING_TEXT.splitlines()), model_writer=model, model_type="bpe", vocab_size=512,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=["<|im_end|>", "<|im_start|>"], split_digits=False, minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def minicpm(processor):
    hidden, heads, kv_heads, head_dim, feed_forward = 64, 4, 2, 16, 96
    size = processor.get_piece_size()

    def matrix(rows, cols):
        return random.normal(0, 0.05, (rows, cols)).astype(np.float16).astype(np.float32)

    layer = "model.layers.0."
    model = {
        "model.embed_tokens.weight": matrix(size, hidden),
        "model.norm.weight": 1 + random.normal(0, 0.05, hidden).astype(np.float32),
        layer + "input_layernorm.weight": 1 + random.normal(0, 0.05, hidden).astype(np.float32),
        layer + "post_attention_layernorm.weight": 1 + random.normal(0, 0.05, hidden).astype(np.float32),
        layer + "self_attn.q_proj.weight": matrix(heads * head_dim, hidden),
        layer + "self_attn.k_proj.weight": matrix(kv_heads * head_dim, hidden),
        layer + "self_attn.v_proj.weight": matrix(kv_heads * head_dim, hidden),
        layer + "self_attn.o_proj.weight": matrix(hidden, heads * head_dim),
        layer + "mlp.gate_proj.weight": matrix(feed_forward, hidden),
        layer + "mlp.up_proj.weight": matrix(feed_forward, hidden),
        layer + "mlp.down_proj.weight": matrix(hidden, feed_forward),
    }
    short = np.linspace(1.0, 4.0, head_dim // 2).astype(np.float32)
    long = np.linspace(1.5, 40.0, head_dim // 2).astype(np.float32)
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "input_layernorm": "blk.0.attn_norm",
        "post_attention_layernorm": "blk.0.ffn_norm", "self_attn.q_proj": "blk.0.attn_q", "self_attn.k_proj": "blk.0.attn_k",
        "self_attn.v_proj": "blk.0.attn_v", "self_attn.o_proj": "blk.0.attn_output", "mlp.gate_proj": "blk.0.ffn_gate",
        "mlp.up_proj": "blk.0.ffn_up", "mlp.down_proj": "blk.0.ffn_down",
    }
    whole = gguf.GGUFWriter(HERE / "minicpm.gguf", "minicpm")
    split = gguf.GGUFWriter(HERE / "minicpm.gguf", "minicpm", split_max_tensors=5)
    for writer in (whole, split):
        writer.add_name("tiny")
        add_shape(writer, hidden, 1, heads, kv_heads, feed_forward, 128)
        writer.add_embedding_scale(12.0)
        writer.add_residual_scale(1.4 / 1**0.5)
        writer.add_logit_scale(hidden / 32)
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(64)
        writer.add_tokenizer_model("llama")
        writer.add_token_list([processor.id_to_piece(id) for id in range(size)])
        writer.add_token_scores([processor.get_score(id) for id in range(size)])
        writer.add_token_types([token_type(processor, id) for id in range(size)])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_bos_token(True)
        writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
        for name, data in model.items():
            stem = names[name.removeprefix(layer).removesuffix(".weight")] + ".weight"
            if "q_proj" in name:
                # One of the two is quantised, so that both forms are put back in order.
                stored = gguf.quants.quantize(permute(data, heads), Type.Q8_0)
                writer.add_tensor(stem, stored, raw_dtype=Type.Q8_0)
            else:
                data = permute(data, kv_heads) if "k_proj" in name else data
                writer.add_tensor(stem, data.astype(np.float16) if data.ndim == 2 else data)
        writer.add_tensor("rope_factors_short.weight", short)
        writer.add_tensor("rope_factors_long.weight", long)
        finish(writer)
    name = layer + "self_attn.q_proj.weight"
    model[name] = gguf.quants.dequantize(gguf.quants.quantize(model[name], Type.Q8_0), Type.Q8_0)
    # Everything but the vectors and q holds in f16 without loss.
    kept = {key: data if data.ndim == 1 or "q_proj" in key else data.astype(np.float16) for key, data in model.items()}
    save_file({**kept, "short": short, "long": long}, HERE / "minicpm.safetensors")


def token_type(processor, id):
    if processor.is_unknown(id):
        return 2
    if processor.is_control(id):
        return 3
    if processor.is_byte(id):
        return 6
    return 4 if processor.id_to_piece(id).startswith("<|") else 1


def byte_level():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Digits(individual_digits=True), tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=480, special_tokens=["<s>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )
    tokenizer.train_from_iterator([TRAINING_TEXT], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer = gguf.GGUFWriter(HERE / "byte_level.gguf", "llama")
    add_shape(writer, hidden=32, layers=4, heads=2, kv_heads=1, feed_forward=32, context=64)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if id < 3 else 1 for id in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 32), np.float16))
    writer.add_tensor("output.weight", np.zeros((len(tokens), 32), np.float16))
    writer.add_tensor("rope_freqs.weight", np.linspace(1, 8, 8).astype(np.float32))
    finish(writer)
    return tokenizer


def main():
    blocks()
    processor = sentence_piece()
    minicpm(processor)
    tokenizer = byte_level()
    # SentencePiece itself takes user-defined symbols out without a space before what follows; Hugging Face and llama.cpp
    # begin again with one, so texts with special tokens are not compared.
    plain = [text for text in TEXTS if "<|" not in text]
    cases = {
        "sentence_piece": [[text, processor.encode(text)] for text in plain],
        "byte_level": [[text, tokenizer.encode(text).ids] for text in TEXTS],
    }
    (HERE / "texts.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")


main()

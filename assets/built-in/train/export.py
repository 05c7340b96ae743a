"""Weights of a leg to a Hugging Face folder in bfloat16, which `foveal quantize` makes smaller; and back again.

    python3 export.py WEIGHTS [WEIGHTS ..] OUT  the mean of several legs, which is better than the last one alone
    python3 export.py --back FOLDER WEIGHTS     the quantised folder to weights that a leg can go on from
"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

from model import Config
from tokenizer import HERE, SPECIAL
from train import load, save

TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def main(sources, out, c=None):
    legs = [load(source, "cpu") for source in sources]
    mean = {name: sum(leg[name].detach() for leg in legs) / len(legs) for name in legs[0]}
    weights = {name: w.to(torch.bfloat16).contiguous() for name, w in mean.items()}
    c = c or Config()
    embedding, mlp = weights["model.embed_tokens.weight"], weights["model.layers.0.mlp.gate_proj.weight"]
    assert embedding.shape == (c.vocabulary, c.hidden) and mlp.shape == (c.intermediate, c.hidden), "the weights are of another size"
    os.makedirs(out, exist_ok=True)
    save_file(weights, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    sparse = dict(kernel_size=c.kernel, kernel_stride=c.stride, init_blocks=c.initial_blocks, block_size=c.block, window_size=c.window,
                  topk=c.top, use_nope=False, dense_len=2048)
    config = dict(architectures=["MiniCPMForCausalLM"], model_type="minicpm", hidden_size=c.hidden, num_hidden_layers=c.layers,
                  num_attention_heads=c.heads, num_key_value_heads=c.kv_heads, head_dim=c.head_dim, intermediate_size=c.intermediate,
                  vocab_size=c.vocabulary, max_position_embeddings=c.context, rope_theta=c.theta, rope_scaling=None, rms_norm_eps=c.epsilon,
                  hidden_act="silu", initializer_range=0.05, attention_bias=False, attention_dropout=0.0, mlp_bias=False,
                  tie_word_embeddings=True, scale_emb=c.scale_embedding, scale_depth=c.scale_depth, dim_model_base=c.base, mup_denominator=32,
                  use_cache=True, pretraining_tp=1, bos_token_id=1, eos_token_id=[2, 4], pad_token_id=2, torch_dtype="bfloat16",
                  sparse_config=sparse)
    generation = dict(bos_token_id=1, eos_token_id=[2, 4], pad_token_id=2, do_sample=False, temperature=1.0, max_new_tokens=96)
    added = {str(i): dict(content=token, lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
             for i, token in enumerate(SPECIAL)}
    settings = dict(tokenizer_class="PreTrainedTokenizerFast", add_bos_token=True, add_eos_token=False, bos_token="<s>",
                    eos_token="<|im_end|>", pad_token="</s>", unk_token="<unk>", model_max_length=c.context,
                    clean_up_tokenization_spaces=False, added_tokens_decoder=added, chat_template=TEMPLATE)
    for name, content in (("config", config), ("generation_config", generation), ("tokenizer_config", settings)):
        with open(os.path.join(out, name + ".json"), "w") as file:
            json.dump(content, file, indent=2)
    shutil.copy(os.path.join(HERE, "tokenizer.json"), out)
    print(sum(w.numel() for w in weights.values()), "parameters")


def unpacked(words, scales, biases, bits):
    """MLX's format: 32 / bits values to a word, lowest first; a scale and a bias for each group of a row."""
    values = (words.view(torch.int32).unsqueeze(-1) >> torch.arange(0, 32, bits)) & ((1 << bits) - 1)
    values = values.flatten(1).unflatten(1, (scales.shape[1], -1)).float()
    return (values * scales.float().unsqueeze(-1) + biases.float().unsqueeze(-1)).flatten(1)


def dequantised(folder):
    """The weights of a quantised folder, in f32."""
    with open(os.path.join(folder, "config.json")) as file:
        settings = json.load(file)["quantization"]
    stored, weights = load_file(os.path.join(folder, "model.safetensors")), {}
    for name, tensor in stored.items():
        base, _, part = name.rpartition(".")
        own = settings.get(base)
        if part == "weight" and base + ".scales" in stored:
            bits = own["bits"] if isinstance(own, dict) else settings["bits"]
            weights[name] = unpacked(tensor, stored[base + ".scales"], stored[base + ".biases"], bits)
        elif part == "weight":
            weights[name] = tensor.float()
    return weights


if __name__ == "__main__":
    save(dequantised(sys.argv[2]), sys.argv[3]) if sys.argv[1] == "--back" else main(sys.argv[1:-1], sys.argv[-1])

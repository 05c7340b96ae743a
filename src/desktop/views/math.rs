//! Formulas as readable text: the common commands of LaTeX as Unicode letters, powers and indices raised and lowered.
//! What it does not know stays as it was written.

const SYMBOLS: [(&str, &str); 62] = [
    ("\\alpha", "α"),
    ("\\beta", "β"),
    ("\\gamma", "γ"),
    ("\\delta", "δ"),
    ("\\epsilon", "ε"),
    ("\\varepsilon", "ε"),
    ("\\zeta", "ζ"),
    ("\\eta", "η"),
    ("\\theta", "θ"),
    ("\\kappa", "κ"),
    ("\\lambda", "λ"),
    ("\\mu", "μ"),
    ("\\nu", "ν"),
    ("\\xi", "ξ"),
    ("\\pi", "π"),
    ("\\rho", "ρ"),
    ("\\sigma", "σ"),
    ("\\tau", "τ"),
    ("\\phi", "φ"),
    ("\\varphi", "φ"),
    ("\\chi", "χ"),
    ("\\psi", "ψ"),
    ("\\omega", "ω"),
    ("\\Gamma", "Γ"),
    ("\\Delta", "Δ"),
    ("\\Theta", "Θ"),
    ("\\Lambda", "Λ"),
    ("\\Pi", "Π"),
    ("\\Sigma", "Σ"),
    ("\\Phi", "Φ"),
    ("\\Psi", "Ψ"),
    ("\\Omega", "Ω"),
    ("\\infty", "∞"),
    ("\\partial", "∂"),
    ("\\nabla", "∇"),
    ("\\sum", "∑"),
    ("\\prod", "∏"),
    ("\\int", "∫"),
    ("\\sqrt", "√"),
    ("\\cdot", "·"),
    ("\\times", "×"),
    ("\\div", "÷"),
    ("\\pm", "±"),
    ("\\leq", "≤"),
    ("\\le", "≤"),
    ("\\geq", "≥"),
    ("\\ge", "≥"),
    ("\\neq", "≠"),
    ("\\ne", "≠"),
    ("\\approx", "≈"),
    ("\\equiv", "≡"),
    ("\\in", "∈"),
    ("\\to", "→"),
    ("\\rightarrow", "→"),
    ("\\Rightarrow", "⇒"),
    ("\\leftarrow", "←"),
    ("\\forall", "∀"),
    ("\\exists", "∃"),
    ("\\ldots", "…"),
    ("\\dots", "…"),
    ("\\quad", "  "),
    ("\\,", " "),
];
const RAISED: [(char, char); 14] = [
    ('0', '⁰'),
    ('1', '¹'),
    ('2', '²'),
    ('3', '³'),
    ('4', '⁴'),
    ('5', '⁵'),
    ('6', '⁶'),
    ('7', '⁷'),
    ('8', '⁸'),
    ('9', '⁹'),
    ('+', '⁺'),
    ('-', '⁻'),
    ('n', 'ⁿ'),
    ('i', 'ⁱ'),
];
const LOWERED: [(char, char); 12] = [
    ('0', '₀'),
    ('1', '₁'),
    ('2', '₂'),
    ('3', '₃'),
    ('4', '₄'),
    ('5', '₅'),
    ('6', '₆'),
    ('7', '₇'),
    ('8', '₈'),
    ('9', '₉'),
    ('+', '₊'),
    ('-', '₋'),
];

/// A formula as text.
pub(crate) fn readable(formula: &str) -> String {
    let mut text = String::new();
    let mut rest = formula.trim();
    while let Some(first) = rest.chars().next() {
        if first == '\\' {
            let known = SYMBOLS
                .iter()
                .filter(|(command, _)| rest.starts_with(command) && ends_there(rest, command))
                .max_by_key(|(command, _)| command.len());
            if let Some((command, symbol)) = known {
                text.push_str(symbol);
                rest = rest.get(command.len()..).unwrap_or("");
                continue;
            }
            if let Some((top, bottom, after)) = fraction(rest) {
                text.push_str(&format!("({})/({})", readable(top), readable(bottom)));
                rest = after;
                continue;
            }
        }
        if (first == '^' || first == '_') && rest.len() > 1 {
            let table: &[(char, char)] = if first == '^' { &RAISED } else { &LOWERED };
            let (inner, after) = group(rest.get(1..).unwrap_or(""));
            let moved: Option<String> =
                inner.chars().map(|letter| table.iter().find(|(from, _)| *from == letter).map(|(_, to)| *to)).collect();
            match moved {
                Some(moved) if !moved.is_empty() => text.push_str(&moved),
                _ => text.push_str(&format!("{first}({})", readable(inner))),
            }
            rest = after;
            continue;
        }
        if first != '{' && first != '}' {
            text.push(first);
        }
        rest = rest.get(first.len_utf8()..).unwrap_or("");
    }
    text
}

fn ends_there(rest: &str, command: &str) -> bool {
    !command.ends_with(char::is_alphabetic)
        || !rest.get(command.len()..).unwrap_or("").starts_with(|letter: char| letter.is_ascii_alphabetic())
}

/// `{inner}after`, or one character and what follows.
fn group(text: &str) -> (&str, &str) {
    let Some(inner) = text.strip_prefix('{') else {
        let end = text.chars().next().map_or(0, char::len_utf8);
        return text.split_at(end);
    };
    let mut depth = 1;
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (inner.get(..at).unwrap_or(""), inner.get(at + 1..).unwrap_or(""));
        }
    }
    (inner, "")
}

fn fraction(text: &str) -> Option<(&str, &str, &str)> {
    let after = text.strip_prefix("\\frac")?;
    let (top, after) = group(after.trim_start());
    let (bottom, after) = group(after.trim_start());
    Some((top, bottom, after))
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn formulas_become_readable() {
        assert_eq!(readable("x^2 + y_{10} \\leq \\frac{\\pi}{2}"), "x² + y₁₀ ≤ (π)/(2)");
        assert_eq!(readable("e^{kx}"), "e^(kx)");
        assert_eq!(readable("\\unknown{x"), "\\unknownx");
        assert_eq!(readable("\\inf"), "\\inf");
        assert_eq!(readable("^"), "^");
    }
}

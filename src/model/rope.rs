//! Rotary position embedding: how far each pair of dimensions turns at each position.
//!
//! ```text
//! angle[p, i] = p * frequency[i],    frequency[i] = theta^(-2i/d) / factor[i],    i = 0 .. d/2
//! ```
//!
//! * plain: factor 1.
//! * longrope (MiniCPM4): one factor per pair, `short_factor` for contexts up to `original_max_position_embeddings`, else
//!   `long_factor`; cosine and sine times sqrt(1 + ln(max / original) / ln(original)). As in the models' own code the list
//!   is chosen once, by `max_position_embeddings`.
//! * llama3: long wavelengths are stretched by `factor`, short ones left, those between blended.
//! * linear: every position divided by `factor`.

use serde_json::Value;

use super::config::{Fields, fault};
use crate::error::Result;

/// Frequencies of one model.
#[derive(Debug, Clone)]
pub struct Rope {
    /// Radians per position of each pair of dimensions.
    frequencies: Vec<f64>,
    /// Factor on cosine and sine.
    magnitude: f64,
    /// The kind, for `foveal inspect`.
    pub kind: &'static str,
}

impl Rope {
    /// From `rope_scaling` of config.json, which may be absent.
    pub fn new(scaling: Option<&Value>, theta: f64, head_dim: usize, max_positions: usize) -> Result<Self> {
        if theta <= 0.0 {
            return Err(fault("rope_theta", "a positive number", &theta.to_string(), "The file may be damaged"));
        }
        let plain: Vec<f64> = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        let Some(scaling) = scaling.filter(|value| !value.is_null()) else {
            return Ok(Self { frequencies: plain, magnitude: 1.0, kind: "plain" });
        };
        let fields = Fields(scaling);
        let kind = match fields.text("rope_type")? {
            Some(kind) => kind,
            None => fields.text("type")?.unwrap_or("default"),
        };
        match kind {
            "default" => Ok(Self { frequencies: plain, magnitude: 1.0, kind: "plain" }),
            "linear" => {
                let factor = positive(&fields, "factor")?;
                Ok(Self { frequencies: plain.iter().map(|f| f / factor).collect(), magnitude: 1.0, kind: "linear" })
            }
            "longrope" => long_rope(&fields, &plain, max_positions),
            "llama3" => llama3(&fields, &plain),
            other => Err(fault(
                "rope_scaling.rope_type",
                "default, linear, longrope or llama3",
                other,
                "Other kinds are not supported",
            )),
        }
    }

    /// Cosine and sine of each pair for `tokens` positions from `start` on: (tokens, head_dim / 2, 2).
    pub fn turns(&self, start: usize, tokens: usize) -> Vec<f32> {
        let mut turns = Vec::with_capacity(tokens * self.frequencies.len() * 2);
        for position in start..start + tokens {
            for frequency in &self.frequencies {
                let (sine, cosine) = (position as f64 * frequency).sin_cos();
                turns.push((cosine * self.magnitude) as f32);
                turns.push((sine * self.magnitude) as f32);
            }
        }
        turns
    }
}

fn positive(fields: &Fields<'_>, field: &str) -> Result<f64> {
    let number = fields.number_or(field, 0.0)?;
    if number > 0.0 {
        Ok(number)
    } else {
        Err(fault(field, "a positive number", &number.to_string(), "The file may be damaged"))
    }
}

fn long_rope(fields: &Fields<'_>, plain: &[f64], max_positions: usize) -> Result<Rope> {
    let original = fields.size_or("original_max_position_embeddings", max_positions)?;
    let list = if max_positions > original { "long_factor" } else { "short_factor" };
    let factors = fields.numbers(list, plain.len())?;
    let stretch = max_positions as f64 / original as f64;
    let magnitude = (1.0 + stretch.ln() / (original as f64).ln()).sqrt();
    if !magnitude.is_finite() {
        let expected = format!("a number that {max_positions} positions can be compared with");
        return Err(fault(
            "original_max_position_embeddings",
            &expected,
            &original.to_string(),
            "The file may be damaged",
        ));
    }
    let frequencies = plain.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect();
    Ok(Rope { frequencies, magnitude, kind: "longrope" })
}

fn llama3(fields: &Fields<'_>, plain: &[f64]) -> Result<Rope> {
    let factor = positive(fields, "factor")?;
    let low = positive(fields, "low_freq_factor")?;
    let high = positive(fields, "high_freq_factor")?;
    let original = fields.size("original_max_position_embeddings")? as f64;
    if high <= low {
        return Err(fault(
            "rope_scaling.high_freq_factor",
            "more than low_freq_factor",
            &high.to_string(),
            "The file may be damaged",
        ));
    }
    let stretch = |frequency: &f64| {
        let wavelength = std::f64::consts::TAU / frequency;
        if wavelength < original / high {
            *frequency
        } else if wavelength > original / low {
            frequency / factor
        } else {
            let blend = (original / wavelength - low) / (high - low);
            (1.0 - blend) * frequency / factor + blend * frequency
        }
    };
    Ok(Rope { frequencies: plain.iter().map(stretch).collect(), magnitude: 1.0, kind: "llama3" })
}

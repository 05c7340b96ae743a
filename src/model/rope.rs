//! Rotary position embedding: how far each pair of dimensions turns at each position.
//!
//! ```text
//! angle[p, i] = p * frequency[i],    frequency[i] = theta^(-2i/d) / factor[i],    i = 0 .. d/2
//! ```
//!
//! * plain: factor 1.
//! * longrope (MiniCPM4): one factor per pair, `short_factor` for contexts up to `original_max_position_embeddings`, else
//!   `long_factor`; cosine and sine times `attention_factor`, where it is missing sqrt(1 + ln(max / original) /
//!   ln(original)). As in the models' own code the list is chosen once, by `max_position_embeddings`.
//! * llama3: long wavelengths are stretched by `factor`, short ones left, those between blended.
//! * linear: every position divided by `factor`.
//!
//! config.json has theta beside `rope_scaling`; since Transformers 5 both are in one object, `rope_parameters`.

use serde_json::Value;

use super::config::{Fields, fault};
use crate::error::Result;

/// What a file means that does not say.
const DEFAULT_THETA: f64 = 10_000.0;

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
    /// From config.json, whichever way it speaks of the rotation.
    pub fn new(config: &Value, head_dim: usize, max_positions: usize) -> Result<Self> {
        let present = |field: &str| config.get(field).filter(|value| !value.is_null());
        let (name, scaling) = match present("rope_parameters") {
            Some(parameters) => ("rope_parameters", Some(parameters)),
            None => ("rope_scaling", present("rope_scaling")),
        };
        if let Some(scaling) = scaling {
            check_form(name, scaling)?;
        }
        let top = Fields(config);
        let theta = match scaling {
            Some(scaling) => Fields(scaling).number_or("rope_theta", top.number_or("rope_theta", DEFAULT_THETA)?)?,
            None => top.number_or("rope_theta", DEFAULT_THETA)?,
        };
        if theta <= 0.0 {
            return Err(fault("rope_theta", "a positive number", &theta.to_string(), "The file may be damaged"));
        }
        for fields in [Some(&top), scaling.map(Fields).as_ref()].into_iter().flatten() {
            let turned = fields.number_or("partial_rotary_factor", 1.0)?;
            if turned != 1.0 {
                let advice = "Heads of which only a part is rotated are not supported";
                return Err(fault("partial_rotary_factor", "1", &turned.to_string(), advice));
            }
        }
        let plain: Vec<f64> = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        let Some(scaling) = scaling else {
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
            "longrope" => long_rope(&top, &fields, &plain, max_positions),
            "llama3" => llama3(&fields, &plain),
            other => Err(fault(
                &format!("{name}.rope_type"),
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

/// Models whose layers differ in their rotation have one object for each kind of layer.
fn check_form(name: &str, scaling: &Value) -> Result<()> {
    let Some(fields) = scaling.as_object() else {
        return Err(fault(name, "an object", &scaling.to_string(), "The file may be damaged"));
    };
    match fields.iter().find(|(_, value)| value.is_object()) {
        None => Ok(()),
        Some((layers, _)) => {
            Err(fault(name, "one rotation for all layers", layers, "Models with several are not supported"))
        }
    }
}

fn long_rope(top: &Fields<'_>, fields: &Fields<'_>, plain: &[f64], max_positions: usize) -> Result<Rope> {
    let field = "original_max_position_embeddings";
    let original = fields.size_or(field, top.size_or(field, max_positions)?)?;
    let list = if max_positions > original { "long_factor" } else { "short_factor" };
    let factors = fields.numbers(list, plain.len())?;
    let stretch = max_positions as f64 / original as f64;
    let magnitude = match fields.0.get("attention_factor").filter(|value| !value.is_null()) {
        Some(_) => positive(fields, "attention_factor")?,
        None => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
    };
    if !magnitude.is_finite() {
        let expected = format!("a number that {max_positions} positions can be compared with");
        return Err(fault(field, &expected, &original.to_string(), "The file may be damaged"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn turns(config: &Value) -> Vec<f32> {
        Rope::new(config, 32, 512).unwrap().turns(3, 2)
    }

    fn refusal(config: &Value) -> String {
        Rope::new(config, 32, 512).unwrap_err().to_string()
    }

    #[test]
    fn both_ways_to_write_a_rotation_mean_the_same() {
        let scalings = [
            json!({ "rope_type": "default" }),
            json!({ "rope_type": "linear", "factor": 4.0 }),
            json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64 }),
            json!({ "rope_type": "longrope", "short_factor": vec![1.5; 16], "long_factor": vec![2.5; 16],
                "original_max_position_embeddings": 128 }),
        ];
        let usual = turns(&json!({}));
        for scaling in scalings {
            let old = turns(&json!({ "rope_theta": 5e5, "rope_scaling": scaling }));
            let mut parameters = scaling.clone();
            parameters["rope_theta"] = json!(5e5);
            assert_eq!(turns(&json!({ "rope_parameters": parameters })), old, "{scaling}");
            // Files in between have both; the newer one counts, and theta may still stand outside.
            let both = json!({ "rope_theta": 5e5, "rope_parameters": scaling, "rope_scaling": { "type": "yarn" } });
            assert_eq!(turns(&both), old, "{scaling}");
            assert_ne!(old, usual, "{scaling}");
        }
        assert_eq!(turns(&json!({ "rope_parameters": null, "rope_scaling": null })), usual);
    }

    #[test]
    fn an_attention_factor_takes_the_place_of_the_usual_one() {
        let config = |more: Value| {
            let mut scaling = json!({ "rope_type": "longrope", "short_factor": vec![1.0; 16], "long_factor": vec![1.0; 16],
                "original_max_position_embeddings": 128 });
            scaling["attention_factor"] = more;
            json!({ "rope_scaling": scaling })
        };
        let length = |config: &Value| {
            let turns = turns(config);
            turns[0].hypot(turns[1])
        };
        let usual = (1.0 + 4f32.ln() / 128f32.ln()).sqrt();
        assert!((length(&config(Value::Null)) - usual).abs() < 1e-5);
        assert!((length(&config(json!(1.25))) - 1.25).abs() < 1e-5);
        assert!(refusal(&config(json!(-1))).contains("attention_factor"));
    }

    #[test]
    fn rotations_that_are_not_known_are_refused_by_name() {
        let names = |config: Value, parts: &[&str]| {
            let message = refusal(&config);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        };
        names(json!({ "rope_parameters": { "rope_type": "yarn" } }), &["rope_parameters.rope_type", "yarn"]);
        names(json!({ "rope_scaling": { "type": "yarn" } }), &["rope_scaling.rope_type", "yarn"]);
        let several = json!({ "full_attention": { "rope_type": "default" }, "sliding_attention": {} });
        names(json!({ "rope_parameters": several }), &["one rotation for all layers", "full_attention"]);
        names(json!({ "rope_parameters": { "rope_theta": 0.0 } }), &["rope_theta"]);
        names(json!({ "rope_parameters": { "partial_rotary_factor": 0.5 } }), &["partial_rotary_factor", "0.5"]);
        names(json!({ "rope_scaling": 4 }), &["rope_scaling", "an object"]);
    }
}

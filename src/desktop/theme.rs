//! The only place with colours, sizes and fonts.
//!
//! One accent (indigo) for what can be done, one ramp (amber) for what is read. The ramp rises evenly in lightness
//! against the page, so that it also works without colour vision; text on its strongest tint keeps a contrast of at
//! least 4.5 (tested).

use std::sync::Arc;

use egui::epaint::text::{FontTweak, VariationCoords};
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, Style,
    TextStyle, Theme, ThemePreference, Ui, Visuals, vec2,
};

use egui_extras::syntax_highlighting::{CodeTheme, TokenType};

use super::store::{Settings, ThemeChoice};
use super::trace_data::Source;

/// Size of running text.
pub const BODY: f32 = 15.0;
/// Size of notes and labels.
pub const SMALL: f32 = 12.5;
/// Size of titles of dialogs.
pub const TITLE: f32 = 20.0;
/// Height of a line against the size of its letters.
pub const LINE: f32 = 1.5;
/// Distance between things that belong together.
pub const GAP: f32 = 8.0;
/// Distance between things that do not.
pub const SPACE: f32 = 16.0;
/// Roundness of cards.
pub const ROUND: u8 = 10;
/// Widest comfortable column of text.
pub const COLUMN: f32 = 720.0;
/// Width of the list of chats.
pub const SIDEBAR: f32 = 216.0;
/// Width of the labels left of the ribbon, the matrix and the waterfall.
pub const GUTTER: f32 = 108.0;
/// Width of the numbers right of them.
pub const MARGIN: f32 = 76.0;

/// Colours of one theme.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    /// Behind the conversation.
    pub page: Color32,
    /// Behind the list of chats and the bars.
    pub side: Color32,
    /// Behind cards, fields and the document.
    pub card: Color32,
    /// Behind the user's words and pressed things.
    pub raised: Color32,
    /// Hairlines.
    pub line: Color32,
    /// Running text.
    pub text: Color32,
    /// Notes and labels.
    pub weak: Color32,
    /// What can be done.
    pub accent: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// Behind selected things.
    pub accent_soft: Color32,
    /// What went wrong.
    pub danger: Color32,
    /// Read by rule, not by choice.
    pub forced: Color32,
    /// Comments, keywords, names of functions, and quoted words in code.
    pub code: [Color32; 4],
    ramp: [Color32; 6],
    tints: [Color32; 5],
    bands: [Color32; 5],
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const LIGHT: Palette = Palette {
    page: rgb(0xFCFCFB),
    side: rgb(0xF4F4F1),
    card: rgb(0xFFFFFF),
    raised: rgb(0xEDEEF4),
    line: rgb(0xE3E3DE),
    text: rgb(0x1E2126),
    weak: rgb(0x636973),
    accent: rgb(0x4353C8),
    on_accent: rgb(0xFFFFFF),
    accent_soft: rgb(0xE4E7FA),
    danger: rgb(0xA83232),
    forced: rgb(0xB9BCC4),
    code: [rgb(0x636973), rgb(0x4353C8), rgb(0x8A4B08), rgb(0x1C6E55)],
    ramp: [rgb(0xF1F0EC), rgb(0xFADF9E), rgb(0xF2B84B), rgb(0xD68A1C), rgb(0x9C5A10), rgb(0x54300C)],
    tints: [rgb(0xFFF6DF), rgb(0xFFECBC), rgb(0xFFE096), rgb(0xFCD06B), rgb(0xF5BC42)],
    bands: [rgb(0x9AA0AC), rgb(0x2F8F83), rgb(0x6676D9), rgb(0x9B6BC0), rgb(0x4353C8)],
};

const DARK: Palette = Palette {
    page: rgb(0x16181C),
    side: rgb(0x111316),
    card: rgb(0x1D2025),
    raised: rgb(0x282C35),
    line: rgb(0x2C3038),
    text: rgb(0xE7E7E4),
    weak: rgb(0x9AA1AD),
    accent: rgb(0x95A2FF),
    on_accent: rgb(0x12141B),
    accent_soft: rgb(0x2A3052),
    danger: rgb(0xF08A80),
    forced: rgb(0x4B515C),
    code: [rgb(0x9AA1AD), rgb(0x95A2FF), rgb(0xE5B567), rgb(0x76C9A8)],
    ramp: [rgb(0x1F2227), rgb(0x4A3512), rgb(0x80580F), rgb(0xBE8415), rgb(0xF0B83C), rgb(0xFFE9B0)],
    tints: [rgb(0x2B2618), rgb(0x3A2F16), rgb(0x4A3914), rgb(0x5B4412), rgb(0x6E500F)],
    bands: [rgb(0x6B7280), rgb(0x3FA396), rgb(0x7F8CE8), rgb(0xB083D6), rgb(0x95A2FF)],
};

impl Palette {
    /// The palette of this part of the window.
    pub fn of(ui: &Ui) -> &'static Self {
        Self::for_dark(ui.visuals().dark_mode)
    }

    /// The palette of a theme.
    pub fn for_dark(dark: bool) -> &'static Self {
        if dark { &DARK } else { &LIGHT }
    }

    /// Colour of heat 0 to 1 in pictures.
    pub fn heat(&self, heat: f32) -> Color32 {
        let place = heat.clamp(0.0, 1.0) * (self.ramp.len() - 1) as f32;
        let (low, part) = (place.floor() as usize, place.fract());
        let from = self.ramp.get(low).copied().unwrap_or(self.card);
        let to = self.ramp.get(low + 1).copied().unwrap_or(from);
        from.lerp_to_gamma(to, part)
    }

    /// Tint behind text for the heat steps 1 to 5; none for 0.
    pub fn tint(&self, step: u8) -> Option<Color32> {
        usize::from(step).checked_sub(1).and_then(|index| self.tints.get(index)).copied()
    }

    /// Colour of a source in the band over the context.
    pub fn band(&self, source: Source) -> Color32 {
        let index = match source {
            Source::Template | Source::System => 0,
            Source::Document(_) => 1,
            Source::Turn(_) => 2,
            Source::Thinking(_) => 3,
            Source::Answer(_) => 4,
        };
        self.bands.get(index).copied().unwrap_or(self.line)
    }
}

/// How code of this size is coloured.
pub fn code(dark: bool, size: f32) -> CodeTheme {
    let palette = Palette::for_dark(dark);
    let [comment, keyword, function, quoted] = palette.code;
    let mut theme = if dark { CodeTheme::dark(size) } else { CodeTheme::light(size) };
    for (kind, color) in [
        (TokenType::Comment, comment),
        (TokenType::Keyword, keyword),
        (TokenType::Function, function),
        (TokenType::StringLiteral, quoted),
        (TokenType::Literal, palette.text),
        (TokenType::Punctuation, palette.text),
    ] {
        theme.format_mut(kind).color = color;
    }
    theme
}

/// The semi-bold family.
pub fn strong_family() -> FontFamily {
    FontFamily::Name("strong".into())
}

/// The family of the icons.
pub fn icon_family() -> FontFamily {
    FontFamily::Name("icons".into())
}

/// Running text of this size.
pub fn font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// Semi-bold text of this size.
pub fn strong(size: f32) -> FontId {
    FontId::new(size, strong_family())
}

/// Fonts of what is written and read, those that are wanted first before the others.
pub fn text_fonts() -> Vec<FontId> {
    let code = |size: f32| FontId::new(size, FontFamily::Monospace);
    let plain = [BODY, 14.0, SMALL, 13.0].map(font);
    let rest =
        [strong(BODY), code(13.0), code(BODY - 1.5), strong(14.0), code(12.5), font(13.5), strong(18.0), strong(21.0)];
    plain.into_iter().chain(rest).collect()
}

/// Loads the fonts.
pub fn set_fonts(context: &Context) {
    let mut fonts = FontDefinitions::default();
    let inter = include_bytes!("../../assets/fonts/Inter.ttf");
    fonts.font_data.insert("inter".into(), Arc::new(FontData::from_static(inter)));
    let semi_bold = FontTweak { coords: VariationCoords::new([(b"wght", 620.0)]), ..FontTweak::default() };
    fonts.font_data.insert("inter-strong".into(), Arc::new(FontData::from_static(inter).tweak(semi_bold)));
    let icons = FontData::from_static(include_bytes!("../../assets/fonts/Icons.ttf"));
    fonts.font_data.insert("icons".into(), Arc::new(icons));
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let with = |first: &str| {
        let mut names = vec![first.to_owned()];
        names.extend(fallback.iter().cloned());
        names
    };
    fonts.families.insert(strong_family(), with("inter-strong"));
    fonts.families.insert(icon_family(), with("icons"));
    fonts.families.insert(FontFamily::Proportional, with("inter"));
    if let Some(monospace) = fonts.families.get_mut(&FontFamily::Monospace) {
        monospace.push("inter".into());
    }
    context.set_fonts(fonts);
}

/// Puts the user's choice of theme, size and movement in place.
pub fn apply(context: &Context, settings: &Settings) {
    for theme in [Theme::Light, Theme::Dark] {
        context.set_style_of(theme, style(theme == Theme::Dark, settings.reduce_motion));
    }
    context.set_theme(match settings.theme {
        ThemeChoice::System => ThemePreference::System,
        ThemeChoice::Light => ThemePreference::Light,
        ThemeChoice::Dark => ThemePreference::Dark,
    });
    // The table of commands has these keys; both together would zoom twice.
    context.options_mut(|options| options.zoom_with_keyboard = false);
    context.set_zoom_factor(settings.scale);
}

fn style(dark: bool, reduce_motion: bool) -> Style {
    let palette = Palette::for_dark(dark);
    let text_styles = [
        (TextStyle::Heading, strong(TITLE)),
        (TextStyle::Body, font(14.0)),
        (TextStyle::Button, font(14.0)),
        (TextStyle::Small, font(SMALL)),
        (TextStyle::Monospace, FontId::new(13.0, FontFamily::Monospace)),
    ]
    .into();
    let mut style = Style { text_styles, visuals: visuals(dark, palette), ..Style::default() };
    style.animation_time = if reduce_motion { 0.0 } else { 0.12 };
    style.spacing.item_spacing = vec2(GAP, 6.0);
    style.spacing.button_padding = vec2(10.0, 5.0);
    style.spacing.interact_size = vec2(30.0, 28.0);
    style.spacing.menu_margin = Margin::same(6);
    style.spacing.slider_width = 150.0;
    style.spacing.combo_width = 180.0;
    style.spacing.tooltip_width = 340.0;
    style.interaction.tooltip_delay = 0.35;
    style
}

fn visuals(dark: bool, palette: &Palette) -> Visuals {
    let mut visuals = if dark { Visuals::dark() } else { Visuals::light() };
    // A cursor that blinks would draw the window twice a second for nothing.
    visuals.text_cursor.blink = false;
    visuals.panel_fill = palette.page;
    visuals.window_fill = palette.card;
    visuals.extreme_bg_color = palette.card;
    visuals.text_edit_bg_color = Some(palette.card);
    visuals.faint_bg_color = palette.side;
    visuals.code_bg_color = palette.side;
    visuals.window_stroke = Stroke::new(1.0, palette.line);
    visuals.window_corner_radius = CornerRadius::same(14);
    visuals.menu_corner_radius = CornerRadius::same(ROUND);
    visuals.window_shadow = Shadow { offset: [0, 12], blur: 40, spread: 0, color: Color32::from_black_alpha(50) };
    visuals.popup_shadow = Shadow { offset: [0, 6], blur: 20, spread: 0, color: Color32::from_black_alpha(36) };
    visuals.hyperlink_color = palette.accent;
    visuals.selection.bg_fill = palette.accent_soft;
    visuals.selection.stroke = Stroke::new(1.0, palette.accent);
    visuals.warn_fg_color = palette.danger;
    visuals.error_fg_color = palette.danger;
    visuals.weak_text_color = Some(palette.weak);
    visuals.slider_trailing_fill = true;
    visuals.striped = false;
    visuals.handle_shape = egui::style::HandleShape::Circle;
    let round = CornerRadius::same(8);
    let widgets = &mut visuals.widgets;
    for widget in [
        &mut widgets.noninteractive,
        &mut widgets.inactive,
        &mut widgets.hovered,
        &mut widgets.active,
        &mut widgets.open,
    ] {
        widget.corner_radius = round;
        widget.expansion = 0.0;
        widget.fg_stroke = Stroke::new(1.0, palette.text);
        widget.bg_stroke = Stroke::new(1.0, palette.line);
        widget.bg_fill = palette.raised;
        widget.weak_bg_fill = palette.raised;
    }
    widgets.noninteractive.bg_fill = palette.card;
    widgets.inactive.weak_bg_fill = palette.card;
    widgets.hovered.weak_bg_fill = palette.raised;
    widgets.active.weak_bg_fill = palette.accent_soft;
    widgets.hovered.bg_stroke = Stroke::new(1.0, palette.forced);
    widgets.active.bg_stroke = Stroke::new(1.0, palette.accent);
    visuals
}

/// Contrast between two colours, 1 to 21 (WCAG 2.2, relative luminance).
pub fn contrast(one: Color32, other: Color32) -> f32 {
    let luminance = |color: Color32| {
        let linear = |channel: u8| {
            let value = f32::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

//! Words of the widgets in Vietnamese and English. Every word that a reader can meet is here, and nothing else.

use crate::options::Lang;

/// One language's words.
#[derive(Debug)]
pub(crate) struct Words {
    /// Title of the document, and its heading for those who listen.
    pub(crate) page_title: &'static str,
    pub(crate) page_heading: &'static str,
    pub(crate) recorded_band: &'static str,
    pub(crate) product: &'static str,
    pub(crate) reference_only: &'static str,
    /// Beside every unit: each section says it for itself, because a reader may see only one.
    pub(crate) reference: &'static str,

    pub(crate) gold: &'static str,
    pub(crate) gold_unit: &'static str,
    pub(crate) fx: &'static str,
    pub(crate) fx_unit: &'static str,
    pub(crate) deposits: &'static str,
    pub(crate) deposit_unit: &'static str,

    pub(crate) buy: &'static str,
    pub(crate) sell: &'static str,
    pub(crate) currency: &'static str,
    /// In two parts, so that a narrow column can break between them and nowhere else.
    pub(crate) term: (&'static str, &'static str),
    pub(crate) demand: &'static str,

    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) unchanged: &'static str,
    pub(crate) under_review: &'static str,
    pub(crate) not_quoted: &'static str,
    pub(crate) no_figure: &'static str,
    pub(crate) via: &'static str,

    pub(crate) at: &'static str,
    pub(crate) on: &'static str,
    pub(crate) in_force: &'static str,
    pub(crate) read_at: &'static str,
    pub(crate) recorded_at: &'static str,
    pub(crate) stale: &'static str,
    pub(crate) stale_from: &'static str,
    pub(crate) stale_in_force: &'static str,
    pub(crate) expired: &'static str,
    pub(crate) expired_since: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) held: &'static str,
}

static VI: Words = Words {
    page_title: "Bảng Giá: giá vàng, tỷ giá, lãi suất",
    page_heading: "Giá vàng, tỷ giá, lãi suất",
    recorded_band: "Số liệu mẫu, không phải giá hiện tại",
    product: "Bảng Giá",
    reference_only: "Chỉ để tham khảo",
    reference: "giá tham khảo",

    gold: "Giá vàng 9999",
    gold_unit: "tr.đ/lượng",
    fx: "Tỷ giá",
    fx_unit: "ĐVT: đồng",
    deposits: "Lãi suất",
    deposit_unit: "%/năm",

    buy: "Mua",
    sell: "Bán",
    currency: "Loại",
    term: ("Kỳ hạn", "(tháng)"),
    demand: "Không kỳ hạn",

    up: "tăng",
    down: "giảm",
    unchanged: "không đổi",
    under_review: "chờ kiểm tra",
    not_quoted: "không niêm yết",
    no_figure: "không có số liệu",
    via: "qua",

    at: "lúc ",
    on: "ngày ",
    in_force: "áp dụng từ ",
    read_at: "đọc lúc ",
    recorded_at: "mẫu ghi lúc ",
    stale: "Dữ liệu cũ",
    stale_from: ", từ ",
    stale_in_force: ", áp dụng từ ",
    expired: "Quá hạn",
    expired_since: " – mất nguồn từ ",
    unavailable: "Chưa có số liệu",
    held: "Giá mới chờ kiểm tra",
};

static EN: Words = Words {
    page_title: "Bảng Giá: gold, exchange rates, deposit rates",
    page_heading: "Gold, exchange rates, deposit rates",
    recorded_band: "Recorded sample, not current prices",
    product: "Bảng Giá",
    reference_only: "For reference only",
    reference: "reference only",

    gold: "Gold 9999",
    gold_unit: "VND million/lượng",
    fx: "Exchange rates",
    fx_unit: "VND",
    deposits: "Deposit rates",
    deposit_unit: "% a year",

    buy: "Buy",
    sell: "Sell",
    currency: "Currency",
    term: ("Term", "(months)"),
    demand: "Demand",

    up: "up",
    down: "down",
    unchanged: "unchanged",
    under_review: "under review",
    not_quoted: "not quoted",
    no_figure: "no data",
    via: "via",

    at: "",
    on: "",
    in_force: "in force since ",
    read_at: "read ",
    recorded_at: "recorded ",
    stale: "Old data",
    stale_from: ", from ",
    stale_in_force: ", in force since ",
    expired: "Expired",
    expired_since: " – source lost since ",
    unavailable: "No data yet",
    held: "New value under review",
};

/// The words of a language.
pub(crate) fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::Vi => &VI,
        Lang::En => &EN,
    }
}

#include "coordinator/parquet/cursor.h"

#include <charconv>
#include <stdexcept>
#include <utility>
#include <vector>

#include "parquet/column_reader.h"
#include "parquet/schema.h"
#include "parquet/types.h"

namespace imgfleet::parquet_list {
namespace {

constexpr int64_t kBatch = 1024;
constexpr int kUuidBytes = 16;

bool IsUuid(const parquet::ColumnDescriptor& column) {
  return column.logical_type() != nullptr && column.logical_type()->is_UUID() &&
         column.type_length() == kUuidBytes;
}

// As text: of a whole number its decimal digits.
class Text {
 public:
  explicit Text(const parquet::ColumnDescriptor& column)
      : uuid_(IsUuid(column)),
        length_(static_cast<size_t>(std::max(column.type_length(), 0))),
        unsigned_(IsUnsigned(column)) {}

  std::string_view Of(const parquet::ByteArray& value) {
    return {reinterpret_cast<const char*>(value.ptr), value.len};
  }
  std::string_view Of(const parquet::FixedLenByteArray& value) {
    if (!uuid_) return {reinterpret_cast<const char*>(value.ptr), length_};
    char* out = buffer_;
    for (int i = 0; i < kUuidBytes; ++i) {
      if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
      *out++ = "0123456789abcdef"[value.ptr[i] >> 4];
      *out++ = "0123456789abcdef"[value.ptr[i] & 15];
    }
    return {buffer_, static_cast<size_t>(out - buffer_)};
  }
  std::string_view Of(int64_t value) {
    return unsigned_ ? Digits(static_cast<uint64_t>(value)) : Digits(value);
  }
  std::string_view Of(int32_t value) {
    return unsigned_ ? Digits(static_cast<uint32_t>(value)) : Digits(value);
  }

 private:
  static bool IsUnsigned(const parquet::ColumnDescriptor& column) {
    const auto& logical = column.logical_type();
    return logical != nullptr && logical->is_int() &&
           !static_cast<const parquet::IntLogicalType&>(*logical).is_signed();
  }

  template <typename Int>
  std::string_view Digits(Int value) {
    const auto end = std::to_chars(buffer_, buffer_ + sizeof buffer_, value);
    return {buffer_, static_cast<size_t>(end.ptr - buffer_)};
  }

  const bool uuid_;
  const size_t length_;
  const bool unsigned_;
  char buffer_[40];
};

template <typename Type>
class TypedCursor final : public Cursor {
 public:
  explicit TypedCursor(std::shared_ptr<parquet::ColumnReader> column)
      : column_(std::static_pointer_cast<parquet::TypedColumnReader<Type>>(std::move(column))),
        optional_(column_->descr()->max_definition_level() > 0),
        text_(*column_->descr()),
        levels_(kBatch),
        values_(kBatch) {}

  std::optional<std::string_view> Next() override {
    if (at_ == count_) Fill();
    const bool null = optional_ && levels_[static_cast<size_t>(at_)] == 0;
    ++at_;
    if (null) return std::nullopt;
    if (value_ == value_count_) throw std::runtime_error("a page holds fewer values than it says");
    return text_.Of(values_[static_cast<size_t>(value_++)]);
  }

  bool More() override { return at_ < count_ || column_->HasNext(); }

 private:
  void Fill() {
    at_ = value_ = count_ = value_count_ = 0;
    // A page may hold nothing.
    while (count_ == 0) {
      if (!column_->HasNext()) throw std::runtime_error("a column has fewer values than its row group rows");
      count_ = column_->ReadBatch(kBatch, optional_ ? levels_.data() : nullptr, nullptr, values_.data(),
                                  &value_count_);
      if (count_ < 0 || count_ > kBatch || value_count_ < 0 || value_count_ > kBatch) {
        throw std::runtime_error("a page counts its values wrongly");
      }
    }
  }

  const std::shared_ptr<parquet::TypedColumnReader<Type>> column_;
  const bool optional_;
  Text text_;
  std::vector<int16_t> levels_;
  std::vector<typename Type::c_type> values_;
  int64_t at_ = 0, count_ = 0;  // Of levels.
  int64_t value_ = 0, value_count_ = 0;
};

// What bytes stand for text.
bool IsText(const parquet::LogicalType* logical) {
  return logical == nullptr || logical->is_none() || logical->is_string() || logical->is_enum() ||
         logical->is_JSON() || !logical->is_valid();
}

bool IsWhole(const parquet::LogicalType* logical) {
  return logical == nullptr || logical->is_none() || logical->is_int() || !logical->is_valid();
}

}  // namespace

std::string Complaint(const parquet::ColumnDescriptor& column, Use use) {
  const parquet::LogicalType* const logical = column.logical_type().get();
  const parquet::Type::type type = column.physical_type();
  if (type == parquet::Type::BYTE_ARRAY && IsText(logical)) return "";
  if (type == parquet::Type::FIXED_LEN_BYTE_ARRAY && IsText(logical) && column.type_length() > 0) return "";
  const bool whole = (type == parquet::Type::INT32 || type == parquet::Type::INT64) && IsWhole(logical);
  if (use == Use::kId && (whole || IsUuid(column))) return "";
  const bool named = logical != nullptr && !logical->is_none() && logical->is_valid();
  const std::string what = named ? logical->ToString() : parquet::TypeToString(type);
  return "holds " + what + ", and " +
         (use == Use::kUrl ? "URLs are text; name the column that holds them"
                           : "ids are text or whole numbers; cast it to one of them, or name another column");
}

std::unique_ptr<Cursor> OpenCursor(std::shared_ptr<parquet::ColumnReader> column) {
  switch (column->type()) {
    case parquet::Type::BYTE_ARRAY:
      return std::make_unique<TypedCursor<parquet::ByteArrayType>>(std::move(column));
    case parquet::Type::FIXED_LEN_BYTE_ARRAY:
      return std::make_unique<TypedCursor<parquet::FLBAType>>(std::move(column));
    case parquet::Type::INT32:
      return std::make_unique<TypedCursor<parquet::Int32Type>>(std::move(column));
    case parquet::Type::INT64:
      return std::make_unique<TypedCursor<parquet::Int64Type>>(std::move(column));
    default:
      throw std::runtime_error("a column changes its type");
  }
}

}  // namespace imgfleet::parquet_list

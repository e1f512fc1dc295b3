#include "coordinator/parquet/reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "arrow/buffer.h"
#include "arrow/io/interfaces.h"
#include "arrow/memory_pool.h"
#include "coordinator/parquet/cursor.h"
#include "parquet/exception.h"
#include "parquet/file_reader.h"
#include "parquet/metadata.h"
#include "parquet/properties.h"
#include "parquet/schema.h"

namespace imgfleet::parquet_list {
namespace {

constexpr int64_t kBufferBytes = 256 << 10;
// Of a name in a message, and of such names: as much as a person will read.
constexpr size_t kNameShown = 40;
constexpr int kNamesShown = 20;
// Runs and dictionaries let a few bytes stand for any number of rows. Gzip's best is a thousand bytes for one; a list of
// different URLs is far from it.
constexpr uint64_t kRowsAtLeast = 1'000'000, kRowsPerByte = 1000;

std::string Quoted(const std::string& name) {
  return "\"" + name.substr(0, kNameShown) + (name.size() > kNameShown ? "...\"" : "\"");
}

std::string Count(uint64_t count) { return std::to_string(count); }

// Both ends of the file, which say whether it is one.
void CheckMagic(int fd, uint64_t size) {
  char head[4], tail[4];
  if (size < 12 || pread(fd, head, 4, 0) != 4) {
    throw BadList("it is too short to be Parquet (" + Count(size) + " bytes); write it anew");
  }
  const std::string_view first(head, 4);
  if (first != "PAR1" && first != "PARE") {
    throw BadList(
        "it does not begin as Parquet does (PAR1); say which format it has, or give it that name's ending");
  }
  if (pread(fd, tail, 4, static_cast<off_t>(size - 4)) != 4 || first != std::string_view(tail, 4)) {
    throw BadList(
        "it is cut off or damaged: Parquet ends as it begins, and this file does not; copy or write it anew");
  }
  if (first == "PARE")
    throw BadList("its footer is encrypted, and no key is known here; write it without encryption");
}

std::string Shown(const parquet::schema::GroupNode& root) {
  std::string names;
  for (int i = 0; i < root.field_count(); ++i) {
    if (i == kNamesShown) return names + ", ...";
    names += (i > 0 ? ", " : "") + Quoted(root.field(i)->name());
  }
  return names.empty() ? "none" : names;
}

// The leaf of that name right below the root; -1 where there is none and none is required.
int FindColumn(const parquet::SchemaDescriptor& schema, const std::string& name, Use use, bool required) {
  const parquet::schema::GroupNode& root = *schema.group_node();
  int found = -1;
  for (int i = 0; i < root.field_count(); ++i) {
    if (root.field(i)->name() != name) continue;
    if (found >= 0) {
      throw BadList("the file has the column " + Quoted(name) + " twice; name the columns differently");
    }
    found = i;
  }
  if (found < 0 && !required) return -1;
  if (found < 0) {
    throw BadList("the file has no column " + Quoted(name) + " but " + Shown(root) +
                  "; name the column that holds it, or write the list with such a column");
  }
  const parquet::schema::Node& node = *root.field(found);
  if (!node.is_primitive() || node.is_repeated()) {
    throw BadList(
        "the column " + Quoted(name) +
        " is nested: each row holds several values; write it as a column of its own with one value a row");
  }
  for (int i = 0; i < schema.num_columns(); ++i) {
    if (schema.Column(i)->schema_node().get() != &node) continue;
    const std::string complaint = Complaint(*schema.Column(i), use);
    if (!complaint.empty()) throw BadList("the column " + Quoted(name) + " " + complaint);
    return i;
  }
  throw BadList("the column " + Quoted(name) + " cannot be found among the file's leaves; write it anew");
}

// The list as Arrow wants it.
class File final : public arrow::io::RandomAccessFile {
 public:
  File(int fd, uint64_t size, arrow::MemoryPool* pool)
      : fd_(fd), size_(static_cast<int64_t>(size)), pool_(pool) {
    set_mode(arrow::io::FileMode::READ);
  }

  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Result<int64_t> GetSize() override { return size_; }
  arrow::Status Seek(int64_t position) override {
    position_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Read(int64_t count, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position_, count, out));
    position_ += got;
    return got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, count));
    position_ += buffer->size();
    return buffer;
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t count, void* out) override {
    int64_t filled = 0;
    while (filled < count) {
      const ssize_t got = pread(fd_, static_cast<char*>(out) + filled, static_cast<size_t>(count - filled),
                                static_cast<off_t>(position + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return arrow::Status::IOError("reading at byte ", position + filled, " fails");
      if (got == 0) break;
      filled += got;
    }
    return filled;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t count) override {
    // No more than there is: what a damaged file asks for may be anything.
    if (position < 0 || count < 0 || position > size_)
      return arrow::Status::IOError("a part lies outside the file");
    count = std::min(count, size_ - position);
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(count, pool_));
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position, count, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(got));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }

 private:
  const int fd_;
  const int64_t size_;
  arrow::MemoryPool* const pool_;
  int64_t position_ = 0;
};

class Reader {
 public:
  Reader(std::unique_ptr<parquet::ParquetFileReader> file, const ReaderOptions& options, uint64_t size)
      : file_(std::move(file)), metadata_(file_->metadata()) {
    if (metadata_ == nullptr || metadata_->schema() == nullptr || metadata_->num_rows() < 0) {
      throw BadList("its footer is damaged; write it anew");
    }
    const auto rows = static_cast<uint64_t>(metadata_->num_rows());
    if (rows > kRowsAtLeast && (rows - kRowsAtLeast) / kRowsPerByte > size) {
      throw BadList("it promises " + Count(rows) + " rows in " + Count(size) +
                    " bytes, which is no list of different URLs; write it without the repetitions");
    }
    url_ = FindColumn(*metadata_->schema(), options.url_column, Use::kUrl, true);
    id_ = FindColumn(*metadata_->schema(), options.id_column, Use::kId, options.id_required);
  }

  uint64_t ReadAll(const RowSink& sink) {
    for (int i = 0; i < metadata_->num_row_groups(); ++i) ReadGroup(i, sink);
    if (rows_ != static_cast<uint64_t>(metadata_->num_rows())) {
      throw BadList("its footer counts " + Count(static_cast<uint64_t>(metadata_->num_rows())) +
                    " rows and its row groups " + Count(rows_) + "; write it anew");
    }
    return rows_;
  }

 private:
  void ReadGroup(int number, const RowSink& sink) {
    const std::shared_ptr<parquet::RowGroupReader> group = file_->RowGroup(number);
    const int64_t rows = group->metadata()->num_rows();
    if (rows < 0 || static_cast<uint64_t>(rows) > static_cast<uint64_t>(metadata_->num_rows()) - rows_) {
      throw BadList("its row groups hold more rows than its footer counts; write it anew");
    }
    if (rows == 0) return;
    const std::unique_ptr<Cursor> url = OpenCursor(group->Column(url_));
    const std::unique_ptr<Cursor> id = id_ < 0 ? nullptr : OpenCursor(group->Column(id_));
    for (int64_t i = 0; i < rows; ++i) {
      const std::optional<std::string_view> url_value = url->Next();
      sink(id == nullptr ? std::nullopt : id->Next(), url_value);
      ++rows_;
    }
    if (url->More() || (id != nullptr && id->More())) {
      throw BadList("a column has more values than its row group rows; write it anew");
    }
  }

  const std::unique_ptr<parquet::ParquetFileReader> file_;
  const std::shared_ptr<parquet::FileMetaData> metadata_;
  int url_ = -1, id_ = -1;
  uint64_t rows_ = 0;
};

parquet::ReaderProperties Properties(arrow::MemoryPool* pool) {
  parquet::ReaderProperties properties(pool);
  properties.enable_buffered_stream();
  properties.set_buffer_size(kBufferBytes);
  properties.set_page_checksum_verification(true);
  return properties;
}

}  // namespace

uint64_t ReadRows(int fd, uint64_t size, const ReaderOptions& options, const RowSink& sink) {
  CheckMagic(fd, size);
  // The system's own: others set large spans of addresses aside, which count here.
  arrow::CappedMemoryPool pool(arrow::system_memory_pool(), options.memory_bytes);
  const std::string too_large =
      "it takes more than " + Count(static_cast<uint64_t>(options.memory_bytes) >> 20) +
      " MiB of memory to read; write it with smaller pages and row groups, or give more "
      "with --parquet-memory";
  try {
    const auto file = std::make_shared<File>(fd, size, &pool);
    return Reader(parquet::ParquetFileReader::Open(file, Properties(&pool)), options, size).ReadAll(sink);
  } catch (const BadList&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw BadList(too_large);
  } catch (const parquet::ParquetStatusException& failure) {
    if (failure.status().IsOutOfMemory()) throw BadList(too_large);
    throw BadList(std::string("it is damaged: ") + failure.what());
  } catch (const std::exception& failure) {
    throw BadList(std::string("it is damaged: ") + failure.what());
  }
}

}  // namespace imgfleet::parquet_list

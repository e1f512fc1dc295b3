#include "coordinator/lists/list_parser.h"

#include <zlib.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::lists {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Text(absl::string_view text) { return std::string(text); }

// "line|id|url", with "|error" where the row is bad.
std::string Shown(const Row& row) {
  std::string text = absl::StrCat(row.line, "|", row.id, "|", row.url);
  if (!row.error.empty()) absl::StrAppend(&text, "|", row.error);
  return text;
}

struct Parsed {
  std::vector<std::string> rows;
  absl::Status status;
  bool operator==(const Parsed&) const = default;
};

// `cuts` are places where the bytes are cut into pieces, ascending.
Parsed Parse(const ListParser::Options& options, absl::string_view bytes,
             const std::vector<size_t>& cuts = {}) {
  Parsed parsed;
  const auto sink = [&](const Row& row) {
    parsed.rows.push_back(Shown(row));
    return absl::OkStatus();
  };
  ListParser parser(options);
  size_t begin = 0;
  for (const size_t cut : cuts) {
    parsed.status = parser.Feed(bytes.substr(begin, cut - begin), sink);
    if (!parsed.status.ok()) return parsed;
    begin = cut;
  }
  parsed.status = parser.Feed(bytes.substr(begin), sink);
  if (parsed.status.ok()) parsed.status = parser.Finish(sink);
  return parsed;
}

Parsed ParseNamed(absl::string_view name, absl::string_view bytes) {
  return Parse({.name = Text(name)}, bytes);
}

std::string Gzip(absl::string_view raw, int level = 6) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, raw.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data()));
  stream.avail_in = raw.size();
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = packed.size();
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

struct GoodCase {
  std::string name;
  std::string bytes;
  std::vector<std::string> rows;
};

TEST(ListParserTest, ReadsEveryFormat) {
  const std::vector<GoodCase> cases = {
      {"a.tsv", "id\turl\n7\thttp://a/\nx y\thttp://b/\n", {"2|7|http://a/", "3|x y|http://b/"}},
      {"a.tsv", "size\turl\tnote\tid\n1\thttp://a/\t\t9\n", {"2|9|http://a/"}},
      {"a.tsv", "url\nhttp://a/,b\n\nhttp://c/", {"2||http://a/,b", "4||http://c/"}},
      {"a.tsv", "id\turl\r\n1\thttp://a/\r\n\r\n2\thttp://b/\r\n", {"2|1|http://a/", "4|2|http://b/"}},
      {"a.tsv", "\xEF\xBB\xBFid\turl\n1\thttp://a/\n", {"2|1|http://a/"}},
      {"a.tsv", "\n\r\nid\turl\n1\thttp://a/\n", {"4|1|http://a/"}},
      {"a.tsv", "id\turl\n1\t\"http://a/\"\n", {"2|1|\"http://a/\""}},
      {"a.tsv", "id\turl\n\thttp://a/\n", {"2||http://a/"}},
      {"a.csv", "url,id\nhttp://a/,1\n", {"2|1|http://a/"}},
      {"a.csv",
       "\"url\",\"id\"\r\n\"http://a/?x=1,2\",\"say \"\"hi\"\"\"\r\n",
       {"2|say \"hi\"|http://a/?x=1,2"}},
      {"a.csv", "note,url\n\"one\ntwo\r\nthree\",http://a/\n,http://b/\n", {"2||http://a/", "5||http://b/"}},
      {"a.csv", "note,url\n5\" disk,http://a/\n", {"2||http://a/"}},
      {"a.csv", "note,url\n\"\",\"http://a/\"", {"2||http://a/"}},
      {"a.txt",
       "# list\nhttp://a/\n\n  http://b/\t\r\n #c\nhttp://c/#d",
       {"2||http://a/", "4||http://b/", "6||http://c/#d"}},
      {"a.jsonl",
       "{\"url\":\"http://a/\",\"id\":\"x\"}\r\n{\"id\": 12345678901234567890123, \"url\": \"http://b/\", "
       "\"more\": "
       "{\"url\": [1, {\"id\": null}]}}\n\n\"http:\\/\\/c\\u002f\"\n{\"id\": null, \"url\": \"\\u00fc\"}",
       {"1|x|http://a/", "2|12345678901234567890123|http://b/", "4||http://c/", "5||\xC3\xBC"}},
      {"a.ndjson", "{\"id\":-1.50e3,\"url\":\"u\"}", {"1|-1.50e3|u"}},
      {"a.json",
       " \n[\n  {\"url\": \"http://a/\", \"id\": 7, \"more\": [1, {\"url\": \"x\", \"s\": \"]\\\"}\"}]},\n\n "
       "\"http://b/\" ,"
       "{\"tags\": {\"id\": [[]]}, \"id\": \"k,]\",\r\n\"url\": \"http://c/\"}]\n\n",
       {"3|7|http://a/", "5||http://b/", "5|k,]|http://c/"}},
      {"a.json", "[\"http://a/\"]", {"1||http://a/"}},
      {"a.json", "\n{\"url\": \"http://a/\"}\n\"http://b/\"\n", {"2||http://a/", "3||http://b/"}},
      {"a.tsv", "id\turl\n", {}},
      {"a.tsv", "id\turl", {}},
      {"a.csv", "url", {}},
      {"a.txt", "# nothing yet\n", {}},
  };
  for (const GoodCase& c : cases) {
    SCOPED_TRACE(c.name + ": " + c.bytes);
    const Parsed plain = ParseNamed(c.name, c.bytes);
    EXPECT_EQ(plain.status, absl::OkStatus());
    EXPECT_EQ(plain.rows, c.rows);
    EXPECT_EQ(ParseNamed(c.name + ".gz", Gzip(c.bytes)), plain);
    EXPECT_EQ(ParseNamed(c.name, Gzip(c.bytes)), plain);
  }
}

TEST(ListParserTest, TellsTheFormatByTheFirstLine) {
  const std::vector<GoodCase> cases = {
      {"-", "id\turl\n1\thttp://a/\n", {"2|1|http://a/"}},
      {"-", "url\nhttp://a/,\"b\"\n", {"2||http://a/,\"b\""}},
      {"-", "\n \nid,url\n1,\"http://a/\"\n", {"4|1|http://a/"}},
      {"-", "\"id\",\"url\"\n1,http://a/\n", {"2|1|http://a/"}},
      {"-", "\"url\"\nhttp://a/\n", {"2||http://a/"}},
      {"-", "http://a/?x=1,2\nhttp://b/\n", {"1||http://a/?x=1,2", "2||http://b/"}},
      {"-", "# a, b\nhttp://b/\n", {"2||http://b/"}},
      {"-", "{\"url\": \"http://a/\"}\n", {"1||http://a/"}},
      {"-", "\n[\"http://a/\",\n\"http://b/\"]", {"2||http://a/", "3||http://b/"}},
      {"-", "\"http://a/\"\n", {"1||http://a/"}},
      {"-", "a", {"1||a"}},
      {"LIST.TSV.GZ", "id\turl\n1\thttp://a/\n", {"2|1|http://a/"}},
  };
  for (const GoodCase& c : cases) {
    SCOPED_TRACE(c.bytes);
    const Parsed parsed = ParseNamed(c.name, c.bytes);
    EXPECT_EQ(parsed.status, absl::OkStatus());
    EXPECT_EQ(parsed.rows, c.rows);
  }
}

TEST(ListParserTest, HandsOnBadRowsWithTheirLine) {
  const std::string million(1 << 20, 'x');
  const std::string longest(kMaxRowBytes, 'x');
  const std::vector<GoodCase> cases = {
      {"a.tsv", "id\turl\n1\n2\tu\n", {"2|1||a.tsv:2: 1 field where the header has 2", "3|2|u"}},
      {"a.tsv", "id\turl\n1\tu\t3\n2\tv", {"2|1|u|a.tsv:2: 3 fields where the header has 2", "3|2|v"}},
      {"a.csv",
       "id,url\n1,u,3\n2\n",
       {"2|1|u|a.csv:2: 3 fields where the header has 2", "3|2||a.csv:3: 1 field where the header has 2"}},
      {"a.tsv",
       "id\turl\n1\t\n2\t  \n",
       {"2|1||a.tsv:2: the URL is empty", "3|2|  |a.tsv:3: the URL is empty"}},
      {"a.tsv", "id\turl\n1\tu\xFFv\n2\tw\n", {"2|||a.tsv:2: the row is not UTF-8 at its byte 4", "3|2|w"}},
      {"a.tsv",
       Text(absl::string_view("id\turl\n1\tu\0v\n2\tw\n", 17)),
       {absl::StrCat("2|1|u", absl::string_view("\0", 1), "v|a.tsv:2: the row has a NUL byte"), "3|2|w"}},
      {"a.tsv",
       "id\turl\n1\t" + million + "\n2\tw\n",
       {"2|||a.tsv:2: the row is longer than 65536 bytes", "3|2|w"}},
      {"a.csv",
       "id,url\n1,\"" + million + "\n" + million + "\"\n2,w\n",
       {"2|||a.csv:2: the row is longer than 65536 bytes", "4|2|w"}},
      {"a.txt",
       million + "\nhttp://a/\n",
       {"1|||a.txt:1: the row is longer than 65536 bytes", "2||http://a/"}},
      {"a.txt", "http://a/\n" + million, {"1||http://a/", "2|||a.txt:2: the row is longer than 65536 bytes"}},
      {"a.txt",
       longest + "\nx" + longest,
       {"1||" + longest, "2|||a.txt:2: the row is longer than 65536 bytes"}},
      {"a.csv",
       "id,url\n1,\"u\"v\n2,w\n",
       {"2|1|u|a.csv:2: text after the closing quote of field 2", "3|2|w"}},
      {"a.json",
       "[\n1, {\"id\": \"z\"}, \"u\" \"v\", [],\n{\"url\": tru}, \"http://b/\"]",
       {"2|||a.json:2: the row is JSON, but neither an object nor a string",
        "2|z||a.json:2: the object has no member for the URL",
        "2||u|a.json:2: no JSON (extra data at byte 5 of the row)",
        "2|||a.json:2: the row is a JSON array, neither an object nor a string",
        "3|||a.json:3: no JSON (syntax error at byte 9 of the row)", "3||http://b/"}},
      {"a.jsonl",
       "{\"url\":\"u\"\n{\"id\":1}\n{\"url\":5}\n7\n[\"u\"]\n{\"url\":\"u\"} "
       "x\n{\"url\":\"u\",\"id\":true}\n\"\\ud800\"\n\"ok\"\n",
       {"1||u|a.jsonl:1: no JSON (incomplete JSON at byte 11 of the row)",
        "2|1||a.jsonl:2: the object has no member for the URL", "3|||a.jsonl:3: the URL is no string",
        "4|||a.jsonl:4: the row is JSON, but neither an object nor a string",
        "5|||a.jsonl:5: the row is a JSON array, neither an object nor a string",
        "6||u|a.jsonl:6: no JSON (extra data at byte 13 of the row)",
        "7||u|a.jsonl:7: the id is neither a string nor a number",
        "8|||a.jsonl:8: no JSON (syntax error at byte 8 of the row)", "9||ok"}},
  };
  for (const GoodCase& c : cases) {
    SCOPED_TRACE(c.name + ": " + c.bytes.substr(0, 80));
    const Parsed parsed = ParseNamed(c.name, c.bytes);
    EXPECT_EQ(parsed.status, absl::OkStatus());
    EXPECT_EQ(parsed.rows, c.rows);
  }
}

TEST(ListParserTest, MembersOfAnySizeArePassedOver) {
  const std::string large(4 * kMaxRowBytes, 'x');
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  const std::string list = "[{\"faces\": [\"" + large + "\"], \"deep\": " + deep +
                           ", \"url\": \"http://a/\"},\n" + "{\"url\": \"" + large + "\"},\n\"http://b/\"]";
  const Parsed parsed = ParseNamed("a.json", list);
  EXPECT_EQ(parsed.status, absl::OkStatus());
  ASSERT_EQ(parsed.rows.size(), 3u);
  EXPECT_EQ(parsed.rows[0], "1||http://a/");
  EXPECT_NE(parsed.rows[1].find("2|||a.json:2: the row is longer than"), std::string::npos) << parsed.rows[1];
  EXPECT_EQ(parsed.rows[2], "3||http://b/");
  const Parsed too_deep = ParseNamed("a.json", "[" + std::string(2000, '['));
  EXPECT_NE(too_deep.status.message().find("nested deeper than 1024 levels"), std::string::npos);
}

struct BadCase {
  std::string name;
  std::string bytes;
  std::string message;
};

TEST(ListParserTest, RefusesListsWithOneMessage) {
  const std::string million(1 << 20, 'x');
  const std::string packed = Gzip("id\turl\n1\thttp://a/\n2\thttp://b/\n", 0);
  std::string flipped = packed;
  flipped[packed.size() - 8] ^= 1;
  const std::vector<BadCase> cases = {
      {"a.tsv", "", "a.tsv:1: the list is empty; "},
      {"a.txt", "\n\r\n  \n", "a.txt:1: the list is empty; "},
      {"-", "\xEF\xBB\xBF", "-:1: the list is empty; "},
      {"a.tsv.gz", Gzip(""), "a.tsv.gz:1: the list is empty; "},
      {"a.tsv",
       Text(absl::string_view("\x7F"
                              "ELF\2\1\1\0\0\0",
                              10)),
       "a.tsv:1: the list is binary (there is a NUL byte); "},
      {"-",
       Text(absl::string_view("\x7F"
                              "ELF\2\1\1\0\0\0",
                              10)),
       "-:1: the list is binary (there is a NUL byte); "},
      {"-", "PNG\x89\n", "-:1: the line is not UTF-8 at its byte 4; convert the list to UTF-8"},
      {"a.txt", "http://a/\xFC", "a.txt:1: the line is not UTF-8 at its byte 10; convert the list to UTF-8"},
      {"a.tsv", Text(absl::string_view("\xFF\xFEi\0d\0", 6)),
       "a.tsv:1: the list is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"},
      {"a.tsv", Text(absl::string_view("\xFE\xFF\0i\0d", 6)),
       "a.tsv:1: the list is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"},
      {"a.tsv", "id\tURL\n1\tu\n",
       "a.tsv:1: the header has no column \"url\" but \"id\", \"URL\"; name the column that holds it, or "
       "give the list such a header"},
      {"a.csv", "\n\nid,link\n", "a.csv:3: the header has no column \"url\" but \"id\", \"link\"; "},
      {"a.tsv", "url\tid\turl\n",
       "a.tsv:1: the header has the column \"url\" twice; name the columns differently"},
      {"a.tsv", "id\turl\tid\n", "a.tsv:1: the header has the column \"id\" twice; "},
      {"a.csv", "\"id\"x,url\n", "a.csv:1: the header has text after the closing quote of field 1"},
      {"a.tsv", "id\turl" + million,
       "a.tsv:1: the header line is longer than 65536 bytes; is this a TSV list?"},
      {"a.jsonl", "[\n\"http://a/\"]\n",
       "a.jsonl:1: the list is a JSON array, not JSON lines; say that its format is json"},
      {"a.json", "[]", "a.json:1: the list is empty; give it a header line and rows, or one URL a line"},
      {"a.json", "[\n\"u\",\n{\"url\":", "a.json:3: the JSON array is never closed; the list may be cut off"},
      {"a.json", "[\"u\",\n]", "a.json:2: the JSON array has a comma with no element beside it"},
      {"a.json", "[\"u\"]\n\n x",
       "a.json:3: there is text after the end of the JSON array; make it one array"},
      {"a.json", "[{\"url\":[}]", "a.json:1: there is a \"}\" where a \"]\" is owed; is this JSON?"},
      {"a.csv", "id,url\n1,u\n2,\"v\n3,w\n",
       "a.csv:3: a quoted field begins here and is never closed; close it, or double the quotes inside it"},
      {"a.tsv", packed.substr(0, packed.size() - 9),
       absl::StrCat("a.tsv:3: the gzip data is cut off after its byte ", packed.size() - 9,
                    "; send the whole file")},
      {"a.tsv", packed.substr(0, packed.size() - 1),
       absl::StrCat("a.tsv:4: the gzip data is cut off after its byte ", packed.size() - 1,
                    "; send the whole file")},
      {"a.tsv", flipped, "a.tsv:4: the gzip data is damaged at its byte "},
      {"a.tsv", packed + "more", "a.tsv:4: the gzip data is damaged at its byte "},
  };
  for (const BadCase& c : cases) {
    SCOPED_TRACE(c.name + ": " + c.bytes.substr(0, 80));
    const Parsed parsed = ParseNamed(c.name, c.bytes);
    EXPECT_EQ(parsed.status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Text(parsed.status.message()), testing::StartsWith(c.message));
  }
}

TEST(ListParserTest, TakesColumnsByName) {
  const ListParser::Options options{.name = "a.csv", .url_column = "link", .id_column = "sku"};
  EXPECT_THAT(Parse(options, "id,sku,url,link\n1,2,3,4\n").rows, ElementsAre("2|2|4"));
  const Parsed missing = Parse(options, "id,link\n1,u\n");
  EXPECT_THAT(Text(missing.status.message()), HasSubstr("no column \"sku\" but \"id\", \"link\""));
  EXPECT_THAT(Parse({.name = "a.jsonl", .url_column = "link", .id_column = "sku"},
                    "{\"url\":1,\"id\":2,\"link\":\"u\",\"sku\":\"s\"}")
                  .rows,
              ElementsAre("1|s|u"));
}

TEST(ListParserTest, AFormatGivenWinsOverTheName) {
  EXPECT_THAT(Parse({.name = "a.csv", .format = v1::TEXT}, "url,id\n").rows, ElementsAre("1||url,id"));
}

TEST(ListParserTest, ReadsGzipMembersAndPadding) {
  const std::string bytes = Gzip("id\turl\n1\tht") + Gzip("tp://a/\n") + std::string(512, '\0');
  const Parsed parsed = ParseNamed("a.tsv", bytes);
  EXPECT_EQ(parsed.status, absl::OkStatus());
  EXPECT_THAT(parsed.rows, ElementsAre("2|1|http://a/"));
}

TEST(ListParserTest, TheSinkEndsTheReading) {
  ListParser parser({.name = "a.txt"});
  int rows = 0;
  const auto sink = [&](const Row&) {
    return ++rows == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  EXPECT_EQ(parser.Feed("a\nb\nc\n", sink), absl::CancelledError("enough"));
  EXPECT_EQ(parser.Feed("d\n", sink), absl::CancelledError("enough"));
  EXPECT_EQ(parser.Finish(sink), absl::CancelledError("enough"));
  EXPECT_EQ(rows, 2);
}

// A list made of what is awkward: quotes, line ends, tabs, commas, multi-byte characters, bad bytes, long
// runs.
std::string RandomList(std::mt19937_64& random) {
  static const std::vector<std::string> kPieces = {"\n",
                                                   "\r\n",
                                                   "\r",
                                                   "\t",
                                                   ",",
                                                   "\"",
                                                   "\"\"",
                                                   "a",
                                                   "http://x/",
                                                   "#",
                                                   " ",
                                                   "{\"url\":\"u\"}",
                                                   "\"u\"",
                                                   "\xC3\xBC",
                                                   "\xE2\x82\xAC",
                                                   "\xFF",
                                                   std::string(1, '\0'),
                                                   std::string(40000, 'y'),
                                                   "1",
                                                   "\n\n"};
  static const std::vector<std::string> kHeaders = {
      "",      "id\turl\n",        "id,url\r\n", "\"id\",url\n", "\n\nurl\n", "\xEF\xBB\xBFurl\tid\n",
      "# c\n", "{\"url\":\"v\"}\n"};
  std::string list = kHeaders[random() % kHeaders.size()];
  for (size_t n = random() % 60; n > 0; --n) list += kPieces[random() % kPieces.size()];
  return random() % 4 == 0 ? Gzip(list) : list;
}

TEST(ListParserTest, AnySplitOfTheBytesGivesTheSameRows) {
  std::mt19937_64 random(20260301);
  for (int round = 0; round < 3000; ++round) {
    const std::string list = RandomList(random);
    ListParser::Options options{.name = "list"};
    options.format = static_cast<v1::ListFormat>(random() % v1::ListFormat_ARRAYSIZE);
    std::vector<size_t> cuts(random() % 8);
    for (size_t& cut : cuts) cut = random() % (list.size() + 1);
    // Every byte on its own, where that is cheap.
    if (list.size() < 300) {
      cuts.resize(list.size());
      for (size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
    }
    std::sort(cuts.begin(), cuts.end());
    ASSERT_EQ(Parse(options, list), Parse(options, list, cuts)) << "round " << round;
  }
}

}  // namespace
}  // namespace imgfleet::lists

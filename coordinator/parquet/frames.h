// What imgfleet-parquet writes to its standard output: frames, each a byte that tells its kind and what belongs to it,
// numbers little-endian.
//
//   'R'  a row: flags (1 byte), bytes of the id and of the URL (4 each), the id, the URL; any bytes
//   'E'  the end: how many rows there were (8). Nothing follows
//   'X'  the list is bad from here on: bytes of the message (4), the message. Nothing follows
//
// Whoever reads them trusts none of it: the program that writes them has read a stranger's file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgfleet::parquet_list {

inline constexpr char kRow = 'R', kEnd = 'E', kFailure = 'X';

// Of a row.
inline constexpr uint8_t kUrlIsNull = 1;
inline constexpr uint8_t kOverlong = 2;  // More than kMaxRowBytes in sum: neither id nor URL follows.

inline constexpr size_t kMaxRowBytes = 64 << 10;
inline constexpr size_t kMaxMessageBytes = 4 << 10;

inline constexpr size_t kRowHeadBytes = 1 + 1 + 4 + 4;
inline constexpr size_t kEndBytes = 1 + 8;
inline constexpr size_t kFailureHeadBytes = 1 + 4;

}  // namespace imgfleet::parquet_list

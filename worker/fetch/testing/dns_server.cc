#include "worker/fetch/testing/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

constexpr int kA = 1, kCname = 5, kAaaa = 28;
constexpr size_t kMaxUdp = 512;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool Bind(int fd, uint16_t port) {
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  const timeval pause{0, 20'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
  const sockaddr_in address = Loopback(port);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

std::string Number(int value, int bytes) {
  std::string text;
  while (bytes-- > 0) text.push_back(static_cast<char>(value >> (8 * bytes)));
  return text;
}

std::string EncodeName(const std::string& name) {
  std::string encoded;
  for (absl::string_view label : absl::StrSplit(name, '.', absl::SkipEmpty())) {
    absl::StrAppend(&encoded, Number(static_cast<int>(label.size()), 1), label);
  }
  return encoded + std::string(1, '\0');
}

// RFC 1035 section 3.2.1, without the owner.
std::string Record(int type, int ttl, const std::string& data) {
  return absl::StrCat(Number(type, 2), Number(1, 2), Number(ttl, 4), Number(static_cast<int>(data.size()), 2),
                      data);
}

}  // namespace

DnsServer::DnsServer(uint16_t port) {
  // A port that is free for UDP may be taken for TCP.
  for (int tries = 0;; ++tries) {
    IMGFLEET_CHECK(tries < 100);
    udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    IMGFLEET_CHECK(Bind(udp_, port));
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    getsockname(udp_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (Bind(tcp_, port_)) break;
    close(udp_);
    close(tcp_);
  }
  IMGFLEET_CHECK(listen(tcp_, 64) == 0);
  udp_thread_ = std::thread([this] { RunUdp(); });
  tcp_thread_ = std::thread([this] { RunTcp(); });
}

DnsServer::~DnsServer() {
  stopping_ = true;
  udp_thread_.join();
  tcp_thread_.join();
  close(udp_);
  close(tcp_);
}

void DnsServer::Set(const std::string& host, const std::string& address) {
  const char* type = absl::StrContains(address, ":") ? "AAAA " : "A ";
  Play(host, {{.records = {type + address}}});
}

void DnsServer::Play(const std::string& host, std::vector<Reply> replies) {
  absl::MutexLock lock(&mutex_);
  hosts_[host] = std::move(replies);
}

std::string DnsServer::server() const { return absl::StrCat("127.0.0.1:", port_); }

bool DnsServer::Parse(const std::string& packet, Question* question) {
  question->name.clear();
  size_t at = 12;
  while (at < packet.size() && packet[at] != 0) {
    const size_t length = static_cast<uint8_t>(packet[at]);
    if (at + 1 + length >= packet.size()) return false;
    absl::StrAppend(&question->name, question->name.empty() ? "" : ".", packet.substr(at + 1, length));
    at += 1 + length;
  }
  if (at + 5 > packet.size()) return false;
  question->type = static_cast<uint8_t>(packet[at + 2]);
  question->packet = packet.substr(0, at + 5);
  absl::AsciiStrToLower(&question->name);
  return true;
}

// False: no answer.
bool DnsServer::Decide(const Question& question, Reply* reply) {
  if (absl::StartsWith(question.name, "silent")) return false;
  absl::MutexLock lock(&mutex_);
  const auto host = hosts_.find(question.name);
  if (host == hosts_.end()) {
    *reply = Reply{.records = {}, .rcode = 3};
    return true;
  }
  const size_t turn = asked_[{question.name, question.type}]++;
  *reply = host->second[std::min(turn, host->second.size() - 1)];
  return !reply->silent && !(reply->silent_v6 && question.type == kAaaa);
}

// The question is sent back with the answers behind it.
std::string DnsServer::Packet(const Question& question, const Reply& reply, bool tcp) {
  std::string owner = Number(0xc00c, 2);  // The question's name.
  std::string answers;
  int count = 0;
  for (const std::string& record : reply.records) {
    const std::vector<std::string> words = absl::StrSplit(record, ' ');
    uint8_t address[16];
    if (words[0] == "CNAME") {
      const std::string target = EncodeName(words[1]);
      absl::StrAppend(&answers, owner, Record(kCname, reply.ttl, target));
      owner = target;
      ++count;
    } else if ((words[0] == "A") == (question.type == kA)) {
      const int bytes = question.type == kA ? 4 : 16;
      IMGFLEET_CHECK(inet_pton(bytes == 4 ? AF_INET : AF_INET6, words[1].c_str(), address) == 1);
      absl::StrAppend(&answers, owner,
                      Record(question.type, reply.ttl, std::string(reinterpret_cast<char*>(address), bytes)));
      ++count;
    }
  }
  std::string packet = question.packet;
  if (!reply.wrong_name.empty()) {
    packet = packet.substr(0, 12) + EncodeName(reply.wrong_name) + packet.substr(packet.size() - 4);
  }
  const bool cut = !tcp && packet.size() + answers.size() > kMaxUdp;
  packet[2] = static_cast<char>(cut ? 0x83 : 0x81);
  packet[3] = static_cast<char>(0x80 | reply.rcode);
  packet.replace(6, 6, absl::StrCat(Number(cut ? 0 : count, 2), Number(0, 4)));
  if (reply.wrong_id) packet[0] = static_cast<char>(packet[0] ^ 1);
  return cut ? packet : packet + answers;
}

void DnsServer::RunUdp() {
  const int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  while (!stopping_) {
    std::string packet(kMaxUdp, '\0');
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        recvfrom(udp_, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 17) continue;
    packet.resize(got);
    Question question;
    Reply reply;
    if (!Parse(packet, &question)) continue;
    if (question.type == kA) ++questions_;
    if (!Decide(question, &reply)) continue;
    const std::string answer = Packet(question, reply, /*tcp=*/false);
    sendto(reply.wrong_port ? other : udp_, answer.data(), answer.size(), 0,
           reinterpret_cast<sockaddr*>(&from), size);
  }
  close(other);
}

void DnsServer::RunTcp() {
  while (!stopping_) {
    const int fd = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ServeTcp(fd);
    close(fd);
  }
}

// Until the other side hangs up, or has asked nothing for a while.
void DnsServer::ServeTcp(int fd) {
  const timeval pause{0, 200'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
  while (!stopping_) {
    unsigned char length[2];
    if (recv(fd, length, 2, MSG_WAITALL) != 2) return;
    std::string packet(length[0] << 8 | length[1], '\0');
    if (recv(fd, packet.data(), packet.size(), MSG_WAITALL) != static_cast<ssize_t>(packet.size())) return;
    Question question;
    Reply reply;
    if (!Parse(packet, &question)) return;
    ++tcp_questions_;
    if (!Decide(question, &reply)) continue;
    const std::string answer = Packet(question, reply, /*tcp=*/true);
    const std::string framed = Number(static_cast<int>(answer.size()), 2) + answer;
    if (send(fd, framed.data(), framed.size(), MSG_NOSIGNAL) < 0) return;
  }
}

}  // namespace imgfleet::fetch

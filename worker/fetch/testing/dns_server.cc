#include "worker/fetch/testing/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::fetch {

DnsServer::DnsServer() : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  IMGFLEET_CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  const timeval pause{0, 20'000};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
  thread_ = std::thread([this] { Run(); });
}

DnsServer::~DnsServer() {
  stopping_ = true;
  thread_.join();
  close(socket_);
}

void DnsServer::Set(const std::string& host, const std::string& address) {
  absl::MutexLock lock(&mutex_);
  hosts_[host] = address;
}

std::string DnsServer::server() const { return absl::StrCat("127.0.0.1:", port_); }

// RFC 1035 section 4: the question is sent back with an answer behind it.
void DnsServer::Run() {
  while (!stopping_) {
    char packet[512];
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        recvfrom(socket_, packet, sizeof(packet), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 17) continue;
    std::string name;
    size_t at = 12;
    for (; at < static_cast<size_t>(got) && packet[at] != 0; at += 1 + packet[at]) {
      absl::StrAppend(&name, name.empty() ? "" : ".", std::string(packet + at + 1, packet[at]));
    }
    const bool ipv4 = packet[at + 2] == 1;
    if (ipv4) ++questions_;
    if (absl::StartsWith(name, "silent")) continue;
    std::string answer(packet, at + 5);
    std::string address;
    {
      absl::MutexLock lock(&mutex_);
      if (const auto host = hosts_.find(name); host != hosts_.end()) address = host->second;
    }
    answer[2] = static_cast<char>(0x81);
    answer[3] = static_cast<char>(address.empty() ? 0x83 : 0x80);
    answer[7] = !address.empty() && ipv4 ? 1 : 0;
    answer[9] = answer[11] = 0;
    if (answer[7] == 1) {
      in_addr binary{};
      inet_pton(AF_INET, address.c_str(), &binary);
      answer += std::string("\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04", 12);  // TTL 60 s.
      answer.append(reinterpret_cast<const char*>(&binary), 4);
    }
    sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

}  // namespace imgfleet::fetch

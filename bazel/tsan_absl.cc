// ThreadSanitizer only. Debian's libabsl/libgrpc are not instrumented, so TSan cannot see the
// happens-before edges of absl::Mutex. Interpose the public entry points and annotate them.
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <dlfcn.h>
extern "C" {
void __tsan_acquire(void*);
void __tsan_release(void*);
}
#define ABSL_SYM(s) "_ZN4absl7debian3" s
#define NEXT(type, s) static auto real = reinterpret_cast<type>(dlsym(RTLD_NEXT, ABSL_SYM(s)))
namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {
using Fn = void (*)(Mutex*);
using TryFn = bool (*)(Mutex*);
using WaitFn = void (*)(CondVar*, Mutex*);
using WaitDurFn = bool (*)(CondVar*, Mutex*, Duration);
using WaitTimeFn = bool (*)(CondVar*, Mutex*, Time);
}  // namespace
void Mutex::Lock() {
  NEXT(Fn, "5Mutex4LockEv");
  real(this);
  __tsan_acquire(this);
}
void Mutex::Unlock() {
  NEXT(Fn, "5Mutex6UnlockEv");
  __tsan_release(this);
  real(this);
}
bool Mutex::TryLock() {
  NEXT(TryFn, "5Mutex7TryLockEv");
  bool r = real(this);
  if (r) __tsan_acquire(this);
  return r;
}
void Mutex::ReaderLock() {
  NEXT(Fn, "5Mutex10ReaderLockEv");
  real(this);
  __tsan_acquire(this);
}
void Mutex::ReaderUnlock() {
  NEXT(Fn, "5Mutex12ReaderUnlockEv");
  __tsan_release(this);
  real(this);
}
void CondVar::Wait(Mutex* m) {
  NEXT(WaitFn, "7CondVar4WaitEPNS0_5MutexE");
  __tsan_release(m);
  real(this, m);
  __tsan_acquire(m);
}
bool CondVar::WaitWithTimeout(Mutex* m, Duration d) {
  NEXT(WaitDurFn, "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(m);
  bool r = real(this, m, d);
  __tsan_acquire(m);
  return r;
}
bool CondVar::WaitWithDeadline(Mutex* m, Time t) {
  NEXT(WaitTimeFn, "7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(m);
  bool r = real(this, m, t);
  __tsan_acquire(m);
  return r;
}
ABSL_NAMESPACE_END
}  // namespace absl

extern "C" const char* __tsan_default_options() {
  return "ignore_noninstrumented_modules=1:second_deadlock_stack=1";
}
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libgrpc.so\n"
         "called_from_lib:libgrpc++.so\n"
         "called_from_lib:libgpr.so\n"
         "called_from_lib:libprotobuf.so\n"
         "race_top:/usr/include/grpcpp/\n"
         "race_top:/usr/include/google/protobuf/\n"
         "race_top:^grpc::\n"
         "race_top:^google::protobuf::\n"
         "race:grpc::internal::CallOp\n"
         "race:grpc::internal::InterceptorBatchMethodsImpl\n"
         "race_top:^std::function<\n"
         "race_top:^std::_Function_base\n"
         "race:grpc::internal::ServerCallbackCall::\n"
         "race_top:^std::__atomic_base<\n";
}

// SPDX-License-Identifier: Apache-2.0
// Holds the compiled CRI descriptors against the wire facts in
// testdata/cri_v1_wire.tsv, both ways: nothing missing, nothing added, every
// name, number, type and label as the table has it.
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"

#include "proto/runtime/v1/api.pb.h"

namespace quoll {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::FileDescriptor;

std::vector<std::string> SplitTabs(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, '\t');) {
    cells.push_back(cell);
  }
  cells.resize(8);
  return cells;
}

// The table's rows, each as one canonical line.
std::multiset<std::string> TableFacts() {
  std::ifstream in(QUOLL_WIRE_FACTS);
  std::multiset<std::string> facts;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') {
      continue;
    }
    const auto c = SplitTabs(line);
    if (c[0] == "rpc") {
      facts.insert("rpc " + c[1] + "." + c[5] + "(" + c[3] + ") returns (" +
                   (c[4].empty() ? "" : "stream ") + c[6] + ")");
    } else if (c[0] == "field") {
      facts.insert("field " + c[1] + "." + c[5] + " = " + c[2] + " " +
                   (c[4].empty() ? "" : c[4] + " ") + c[3]);
    } else if (c[0] == "enum") {
      facts.insert("enum " + c[1] + "." + c[5] + " = " + c[2]);
    } else if (c[0] == "empty") {
      facts.insert("empty " + c[1]);
    } else {
      ADD_FAILURE() << "unknown kind of row: " << line;
    }
  }
  return facts;
}

std::string WithoutPackage(const std::string& full_name) {
  const std::string package = "runtime.v1.";
  return full_name.substr(full_name.rfind(package, 0) == 0 ? package.size()
                                                           : 0);
}

std::string TypeOf(const FieldDescriptor* field) {
  if (field->is_map()) {
    return "map<" + TypeOf(field->message_type()->field(0)) + "," +
           TypeOf(field->message_type()->field(1)) + ">";
  }
  if (field->message_type() != nullptr) {
    return WithoutPackage(field->message_type()->full_name());
  }
  if (field->enum_type() != nullptr) {
    return WithoutPackage(field->enum_type()->full_name());
  }
  return field->type_name();
}

void AddEnum(const EnumDescriptor* type, std::multiset<std::string>* facts) {
  for (int i = 0; i < type->value_count(); ++i) {
    facts->insert("enum " + WithoutPackage(type->full_name()) + "." +
                  type->value(i)->name() + " = " +
                  std::to_string(type->value(i)->number()));
  }
}

std::multiset<std::string> CompiledFacts(const FileDescriptor* file) {
  std::multiset<std::string> facts;
  for (int s = 0; s < file->service_count(); ++s) {
    const auto* service = file->service(s);
    for (int m = 0; m < service->method_count(); ++m) {
      const auto* method = service->method(m);
      EXPECT_FALSE(method->client_streaming());
      facts.insert("rpc " + service->name() + "." + method->name() + "(" +
                   method->input_type()->name() + ") returns (" +
                   (method->server_streaming() ? "stream " : "") +
                   method->output_type()->name() + ")");
    }
  }
  for (int i = 0; i < file->enum_type_count(); ++i) {
    AddEnum(file->enum_type(i), &facts);
  }
  for (int i = 0; i < file->message_type_count(); ++i) {
    const Descriptor* message = file->message_type(i);
    for (int e = 0; e < message->enum_type_count(); ++e) {
      AddEnum(message->enum_type(e), &facts);
    }
    if (message->field_count() == 0) {
      facts.insert("empty " + message->name());
    }
    EXPECT_EQ(message->real_oneof_decl_count(), 0) << message->name();
    for (int f = 0; f < message->field_count(); ++f) {
      const FieldDescriptor* field = message->field(f);
      facts.insert(
          "field " + message->name() + "." + field->name() + " = " +
          std::to_string(field->number()) + " " +
          (field->is_repeated() && !field->is_map() ? "repeated " : "") +
          TypeOf(field));
    }
  }
  return facts;
}

TEST(WireFactsTest, DescriptorsAreTheTable) {
  const auto table = TableFacts();
  const auto compiled =
      CompiledFacts(::runtime::v1::VersionRequest::descriptor()->file());
  std::vector<std::string> missing;
  std::vector<std::string> added;
  std::set_difference(table.begin(), table.end(), compiled.begin(),
                      compiled.end(), std::back_inserter(missing));
  std::set_difference(compiled.begin(), compiled.end(), table.begin(),
                      table.end(), std::back_inserter(added));
  EXPECT_THAT(missing, testing::IsEmpty());
  EXPECT_THAT(added, testing::IsEmpty());
}

TEST(WireFactsTest, CountsAreThoseOfTheApi) {
  const FileDescriptor* file =
      ::runtime::v1::VersionRequest::descriptor()->file();
  EXPECT_EQ(file->package(), "runtime.v1");
  EXPECT_EQ(file->message_type_count(), 175);
  EXPECT_EQ(file->enum_type_count(), 10);
  std::map<std::string, int> methods;
  for (int i = 0; i < file->service_count(); ++i) {
    methods[file->service(i)->name()] = file->service(i)->method_count();
  }
  EXPECT_EQ(methods, (std::map<std::string, int>{{"ImageService", 6},
                                                 {"RuntimeService", 37}}));
}

}  // namespace
}  // namespace quoll

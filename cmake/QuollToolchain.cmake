# SPDX-License-Identifier: Apache-2.0
# Compiler, linker and warning settings that every target shares.

find_program(QUOLL_CCACHE ccache)
if(QUOLL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${QUOLL_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${QUOLL_CCACHE})
  # Precompiled headers change their own time stamps; without these two ccache
  # would never hit on a file that uses one.
  set(ENV{CCACHE_SLOPPINESS} pch_defines,time_macros)
endif()

find_program(QUOLL_MOLD mold)
if(QUOLL_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# -g1 keeps line numbers in back-traces at a third of the size and link time.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
add_compile_options(-fstack-protector-strong -fno-plt)
add_compile_definitions(_FILE_OFFSET_BITS=64)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(QUOLL_WARNINGS -Wall -Wextra
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:Clang>>:-Wthread-safety>)
if(QUOLL_WERROR)
  list(APPEND QUOLL_WARNINGS -Werror)
endif()

if(QUOLL_SANITIZE)
  string(REPLACE ";" "," quoll_sanitizers "${QUOLL_SANITIZE}")
  add_compile_options(-fsanitize=${quoll_sanitizers} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${quoll_sanitizers})
endif()

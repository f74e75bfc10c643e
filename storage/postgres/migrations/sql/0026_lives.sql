-- Numbers of the lives of instances, in the order in which they began. Which of two lives is the younger one is not for
-- clocks to say: those of two machines differ, and Postgres's can be set.
CREATE SEQUENCE life_seq;
GRANT USAGE ON SEQUENCE life_seq TO mall_app;
